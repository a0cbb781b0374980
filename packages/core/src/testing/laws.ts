export { advantageLaws as advantage } from "./advantageLaws.ts"
export { backendLaws as backend } from "./backendLaws.ts"
export { lossLaws as loss } from "./lossLaws.ts"
export { rewardLaws as reward } from "./rewardLaws.ts"
