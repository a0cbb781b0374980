import type { Op } from "@foretoken/core"
import type { Device } from "../Device.ts"
import { attribute } from "../onnxProto.ts"
import type { Lower } from "./Lower.ts"

const lastAxis = [attribute.int("axis", -1)]

/** Composites with a kernel of their own: one pass over memory where the decomposition takes five. */
export const composite: { readonly [O in "softmax" | "logSoftmax" | "rmsNorm"]: Lower<O> } = {
  softmax: (emit, [x]) => emit.node("Softmax", [x], { attributes: lastAxis }),
  logSoftmax: (emit, [x]) => emit.node("LogSoftmax", [x], { attributes: lastAxis }),
  /** RMSNormalization of opset 23 under the name that onnxruntime has had for it all along. */
  rmsNorm: (emit, [x, weight], { params: { eps } }) =>
    emit.node("SimplifiedLayerNormalization", [x, weight], {
      attributes: [...lastAxis, attribute.float("epsilon", eps)]
    })
}

/** What `expand` leaves alone. LogSoftmax has no webgpu kernel, and the values would travel to the cpu and back. */
export const native = (device: Device): ReadonlySet<Op> =>
  new Set(device === "webgpu" ? ["softmax", "rmsNorm"] : ["softmax", "logSoftmax", "rmsNorm"])
