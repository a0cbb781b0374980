export * from "./actor/index.ts"
export * from "./tensor/index.ts"
