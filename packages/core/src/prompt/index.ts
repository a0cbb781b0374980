export { chatTemplate, ChatTemplateError } from "./chatTemplate.ts"
export * as Prediction from "./Prediction.ts"
export * as Template from "./Template.ts"
export { type Winnability, winnability, winnable } from "./winnable.ts"
