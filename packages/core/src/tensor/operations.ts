import type { HostTensor, Shape } from "./HostTensor.ts"
import type { Tensor } from "./Tensor.ts"
import { only } from "./Tensor.ts"

/** Values known while tracing. They are part of the graph: keep them small. */
export const constant = (value: HostTensor): Tensor => only("constant", { value })

/** i32 counting along one axis. */
export const iota = (shape: Shape, axis: number): Tensor => only("iota", { shape, axis })

export const concat = (tensors: ReadonlyArray<Tensor>, axis: number): Tensor =>
  tensors.length === 1 ? tensors[0] : only("concat", { axis: axis < 0 ? axis + tensors[0].rank : axis }, ...tensors)

/** log softmax(hidden · vocabularyᵀ) at `ids`: hidden [n,d], vocabulary [v,d], ids i32 [n] -> f32 [n] */
export const selectedLogProb = (hidden: Tensor, vocabulary: Tensor, ids: Tensor, chunk = 8192): Tensor =>
  only("selectedLogProb", { chunk }, hidden, vocabulary, ids)

/** Keys of one kind: k and v [D,Hk,B,C,dh] (of the trunk: [D,Hk,T,dh]) and who may see them (bool, rank 5). */
export interface Keys {
  readonly k: Tensor
  readonly v: Tensor
  readonly mask: Tensor
}

/** Queries [D,H,B,L,dh] over a branch's own keys and, where there is one, the trunk, under one softmax. */
export const attention = (q: Tensor, own: Keys, trunk: ReadonlyArray<Keys>, scale: number): Tensor =>
  only("attention", { scale }, q, own.k, own.v, own.mask, ...trunk.flatMap(({ k, v, mask }) => [k, v, mask]))
