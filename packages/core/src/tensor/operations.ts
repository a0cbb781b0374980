import type { HostTensor, Shape } from "./HostTensor.ts"
import type { PrimitiveParams } from "./Primitive.ts"
import type { Tensor } from "./Tensor.ts"
import { only } from "./Tensor.ts"

/** Values known while tracing. They are part of the graph: keep them small. */
export const constant = (value: HostTensor): Tensor => only("constant", { value })

/** i32 counting along one axis. */
export const iota = (shape: Shape, axis: number): Tensor => only("iota", { shape, axis })

export const concat = (tensors: ReadonlyArray<Tensor>, axis: number): Tensor =>
  tensors.length === 1 ? tensors[0] : only("concat", { axis: axis < 0 ? axis + tensors[0].rank : axis }, ...tensors)

/** log softmax(hidden · vocabularyᵀ) at `ids`: hidden [n,d], vocabulary [v,d], ids i32 [n] -> f32 [n] */
export const selectedLogProb = (
  hidden: Tensor,
  vocabulary: Tensor,
  ids: Tensor,
  params: PrimitiveParams["selectedLogProb"] = chunksFor(hidden.shape[0], vocabulary.shape[0])
): Tensor => only("selectedLogProb", params, hidden, vocabulary, ids)

/**
 * As many rows of the vocabulary at a time as make some 4 MiB of logits: what is done to them happens in the cache. Up to
 * 512 MiB of logits are kept for the gradient, which is faster than to make them again.
 */
const chunksFor = (rows: number, size: number): PrimitiveParams["selectedLogProb"] => ({
  chunk: Math.max(256, 2 ** Math.floor(Math.log2(2 ** 20 / Math.max(1, rows)))),
  remake: rows * size > 2 ** 27
})

/** Keys of one kind, of each branch [D,Hk,B,C,dh] or of the trunk [D,Hk,C,dh], and who may see them (bool, rank 5). */
export interface Keys {
  readonly k: Tensor
  readonly v: Tensor
  readonly mask: Tensor
}

/** Queries [D,H,B,L,dh] over all sets of keys under one softmax. */
export const attention = (q: Tensor, sets: ReadonlyArray<Keys>, scale: number): Tensor =>
  only("attention", { scale }, q, ...sets.flatMap(({ k, v, mask }) => [k, v, mask]))
