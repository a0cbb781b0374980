export { clamp, gate, sum, weighted } from "./combine.ts"
export { matchesPrefix, prefixMatch } from "./prefixMatch.ts"
export { judge, pure, type Reward } from "./Reward.ts"
export { type Scored, scored, type Unscorable, unscorable, type Verdict } from "./Verdict.ts"
