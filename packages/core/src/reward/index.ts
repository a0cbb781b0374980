export { Certificate, CertificateError, certificatePath, readCertificate, writeCertificate } from "./Certificate.ts"
export { builtin } from "./builtin.ts"
export {
  type Bounds,
  type Claims,
  claims,
  failures,
  modest,
  type NoGain,
  noGains,
  prefixVerifier,
  verifier
} from "./Claims.ts"
export { clamp, gate, perGroup, sum, weighted } from "./combine.ts"
export { conditionalDense, dense, type TruthSettings } from "./dense.ts"
export { firstToken } from "./firstToken.ts"
export { format } from "./format.ts"
export { informationGain } from "./informationGain.ts"
export { judge, type JudgeSettings, verdicts } from "./judge.ts"
export { type LoadedReward, loadReward, type LoadRewardSettings, RewardFileError } from "./loadReward.ts"
export { mathAnswer } from "./mathAnswer.ts"
export { sameAnswer } from "./math/sameAnswer.ts"
export { matchesPrefix, prefixMatch } from "./prefixMatch.ts"
export { make, pure, type PureScore, type Reward } from "./Reward.ts"
export { segmentMatch } from "./segmentMatch.ts"
export { overlong, repetition } from "./shaping.ts"
export { Truth, type TruthError } from "./Truth.ts"
export {
  type Scored,
  scored,
  type Unscorable,
  unscorable,
  type UnscorableKind,
  unscorableKinds,
  type Verdict
} from "./Verdict.ts"
export { uniformPenalty } from "./uniformPenalty.ts"
