export { Certificate, CertificateError, certificatePath, readCertificate, writeCertificate } from "./Certificate.ts"
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
export { judge, type JudgeSettings, verdicts } from "./judge.ts"
export { type LoadedReward, loadReward, type LoadRewardSettings, RewardFileError } from "./loadReward.ts"
export { matchesPrefix, prefixMatch } from "./prefixMatch.ts"
export { make, pure, type PureScore, type Reward } from "./Reward.ts"
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
