export * as arbitraries from "./arbitraries/index.ts"
export { type BackendLaw, type BackendLawSettings, LawViolation } from "./backendLaws.ts"
export { forAll } from "./forAll.ts"
export { type Finding, type Law, law, LawBroken, type LawSettings } from "./Law.ts"
export * as laws from "./laws.ts"
export { type LossValue, type TestedLoss, type Whole } from "./lossLaws/evaluate.ts"
export { type RewardLawSettings } from "./rewardLaws.ts"
export { type DiskCall, makeMemoryDisk, type MemoryDisk, type MemoryDiskOptions } from "./memoryDisk.ts"
export {
  simulate,
  type SimulatedParts,
  type Simulation,
  type SimulationCounts,
  type SimulationSettings
} from "./simulation/simulate.ts"
