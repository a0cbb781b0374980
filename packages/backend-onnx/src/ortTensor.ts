import type { HostTensor } from "@foretoken/core"
import type { Tensor as OrtTensor } from "onnxruntime-node"
import type { Runtime } from "./Runtime.ts"

const ortTypes = { f32: "float32", i32: "int32", bool: "bool", f16: "uint16", bf16: "uint16" } as const

/** A tensor of onnxruntime over the same memory. */
export const toOrt = ({ Tensor }: Runtime, { dtype, shape, data }: HostTensor): OrtTensor =>
  new Tensor(ortTypes[dtype], data, shape)

/** The elements of a tensor that lies in the host's memory. */
export const dataOf = ({ data }: OrtTensor): ArrayLike<number> => data as Float32Array | Int32Array | Uint8Array // models are declared f32, i32, bool or u16
