export * as draw from "./draw.ts"
export * as Philox from "./Philox.ts"
