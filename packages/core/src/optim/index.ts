export * as Schedule from "./schedule.ts"
export { adamwRule, muonRule, type OptimizerSettings, type Rule } from "./settings.ts"
export { freshState, makeLearner, type Learner, type LearnerState, type UpdateMetrics } from "./Learner.ts"
export { type MicroBatch } from "./gradientProgram.ts"
