export type { Device } from "./Device.ts"
export { Onnx, type OnnxOptions } from "./Onnx.ts"
export type { Availability } from "./probe.ts"
