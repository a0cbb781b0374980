import type { Op } from "@foretoken/core"
import { sizeOf } from "@foretoken/core"
import type { Device } from "../Device.ts"
import { attribute } from "../onnxProto.ts"
import type { Lower } from "./Lower.ts"

const lastAxis = [attribute.int("axis", -1)]

/** Composites with a kernel of their own: one pass over memory where the decomposition takes five. */
export const composite: { readonly [O in "softmax" | "logSoftmax" | "rmsNorm" | "rotary"]: Lower<O> } = {
  softmax: (emit, [x]) => emit.node("Softmax", [x], { attributes: lastAxis }),
  logSoftmax: (emit, [x]) => emit.node("LogSoftmax", [x], { attributes: lastAxis }),
  /** RMSNormalization of opset 23 under the name that onnxruntime has had for it all along. */
  rmsNorm: (emit, [x, weight], { params: { eps } }) =>
    emit.node("SimplifiedLayerNormalization", [x, weight], {
      attributes: [...lastAxis, attribute.float("epsilon", eps)]
    }),
  /**
   * RotaryEmbedding of onnxruntime over rows [1,n,heads·2h], each at its own row of the angles [n,h]. Angles that heads
   * share, as a model's do, are read once; others are spread out.
   */
  rotary: (emit, [x, cos, sin], { inputs, types }) => {
    const { shape } = types[0]
    const width = shape[shape.length - 1]
    const angles = inputs[1].shape
    const shared = shape.length === 3 && angles.length === 3 && angles[0] === shape[0] && angles[1] === 1
    const heads = shared ? shape[1] : 1
    const rows = sizeOf(shape) / (heads * width)
    const half = [...shape.slice(0, -1), width / 2]
    const spread = (table: string) =>
      emit.reshape(shared || sizeOf(angles) === rows * (width / 2) ? table : emit.expand(table, half), [
        rows,
        width / 2
      ])
    const flat = emit.reshape(x, [1, rows, heads * width])
    const turned = emit.node("RotaryEmbedding", [flat, emit.int64s([0]), spread(cos), spread(sin)], {
      domain: "com.microsoft",
      attributes: [attribute.int("interleaved", 0), attribute.int("num_heads", heads)]
    })
    return emit.reshape(turned, shape)
  }
}

/** What `expand` leaves alone. LogSoftmax has no webgpu kernel, and the values would travel to the cpu and back. */
export const native = (device: Device): ReadonlySet<Op> =>
  new Set(device === "webgpu" ? ["softmax", "rmsNorm"] : ["softmax", "logSoftmax", "rmsNorm", "rotary"])
