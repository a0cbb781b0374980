export * as Prediction from "./Prediction.ts"
export * as Template from "./Template.ts"
