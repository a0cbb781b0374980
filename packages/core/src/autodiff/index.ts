export * from "./check.ts"
export * from "./grad.ts"
export * from "./GradientError.ts"
export type { Remember } from "./Past.ts"
