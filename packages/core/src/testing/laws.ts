export { advantageLaws as advantage } from "./advantageLaws.ts"
export { rewardLaws as reward } from "./rewardLaws.ts"
