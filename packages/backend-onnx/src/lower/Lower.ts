import type { Node, Op } from "@foretoken/core"
import type { Emitter } from "./Emitter.ts"

/**
 * Lowers one primitive: appends ONNX nodes and gives the name of the result. No input and no output is empty (extent 0)
 * but for inputs of `sum`, `concat`, `pad`, `matmul` and `scatterAdd`: see lowerGraph.
 */
export type Lower<O extends Op> = (emit: Emitter, inputs: ReadonlyArray<string>, node: Node<O>) => string
