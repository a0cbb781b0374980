import type { Buffer } from "../tensor/Backend.ts"
import { showType } from "../tensor/Shape.ts"
import type { AdamW } from "./adamw.ts"
import type { Muon } from "./muon.ts"

/**
 * What an optimizer does to the tensors of a whole model, in place and in one call: a closed set. All buffers are f32;
 * lists stand side by side, element i of each of one type. (`B` is a buffer, or what stands for one on its way to a thread.)
 */
export type Routine<B = Buffer> =
  /** totals += parts */
  | { readonly _tag: "add"; readonly totals: ReadonlyArray<B>; readonly parts: ReadonlyArray<B> }
  /** Finds [the global norm of the gradients], and changes nothing (clip.ts). */
  | { readonly _tag: "norm"; readonly gradients: ReadonlyArray<B> }
  /** One update, `step` counted from 1, by gradients times `scale`; what has fewer than two axes does not decay (adamw.ts). */
  | {
      readonly _tag: "adamw"
      readonly weights: ReadonlyArray<B>
      readonly gradients: ReadonlyArray<B>
      readonly m: ReadonlyArray<B>
      readonly v: ReadonlyArray<B>
      readonly settings: AdamW
      readonly step: number
      readonly scale: number
    }
  /** Muon's momentum moves by gradients times `scale`, and each becomes the direction that is to be made orthogonal (muon.ts). */
  | {
      readonly _tag: "muonDirection"
      readonly gradients: ReadonlyArray<B>
      readonly momentum: ReadonlyArray<B>
      readonly settings: Muon
      readonly scale: number
    }
  /** Matrices move along directions that were made orthogonal (muon.ts). */
  | {
      readonly _tag: "muonApply"
      readonly weights: ReadonlyArray<B>
      readonly directions: ReadonlyArray<B>
      readonly settings: Muon
    }

/** The lists of a routine: those whose values it replaces, then those that it only reads. */
export const buffersOf = (
  routine: Routine
): { readonly changed: ReadonlyArray<ReadonlyArray<Buffer>>; readonly read: ReadonlyArray<ReadonlyArray<Buffer>> } => {
  switch (routine._tag) {
    case "add":
      return { changed: [routine.totals], read: [routine.parts] }
    case "norm":
      return { changed: [], read: [routine.gradients] }
    case "adamw":
      return { changed: [routine.weights, routine.m, routine.v], read: [routine.gradients] }
    case "muonDirection":
      return { changed: [routine.gradients, routine.momentum], read: [] }
    case "muonApply":
      return { changed: [routine.weights], read: [routine.directions] }
  }
}

/** The routine over what `f` makes of each buffer. */
export const mapBuffers = <A, B>(routine: Routine<A>, f: (buffer: A) => B): Routine<B> => {
  const each = (list: ReadonlyArray<A>): ReadonlyArray<B> => list.map(f)
  switch (routine._tag) {
    case "add":
      return { ...routine, totals: each(routine.totals), parts: each(routine.parts) }
    case "norm":
      return { ...routine, gradients: each(routine.gradients) }
    case "adamw": {
      const { weights, gradients, m, v } = routine
      return { ...routine, weights: each(weights), gradients: each(gradients), m: each(m), v: each(v) }
    }
    case "muonDirection":
      return { ...routine, gradients: each(routine.gradients), momentum: each(routine.momentum) }
    case "muonApply":
      return { ...routine, weights: each(routine.weights), directions: each(routine.directions) }
  }
}

/** What is wrong with a routine's buffers or numbers, in a line. */
export const problemOf = (routine: Routine): string | undefined => {
  const { changed, read } = buffersOf(routine)
  const [first, ...others] = [...changed, ...read]
  if (others.some((list) => list.length !== first.length)) return `${routine._tag}: lists of different lengths`
  for (const [i, { type }] of first.entries()) {
    if (type.dtype !== "f32") return `${routine._tag}: buffer ${i} is ${showType(type)}, must be f32`
    const other = others.find((list) => showType(list[i].type) !== showType(type))
    if (other !== undefined) return `${routine._tag}: buffers ${i} are ${showType(type)} and ${showType(other[i].type)}`
  }
  const twice = changed.flat()
  if (new Set(twice).size < twice.length) return `${routine._tag}: a buffer is to be changed twice`
  if (routine._tag === "adamw" && !(Number.isSafeInteger(routine.step) && routine.step >= 1)) {
    return `adamw: steps count from 1, not ${routine.step}`
  }
  const matrix = routine._tag === "muonApply" ? first.find(({ type }) => type.shape.length !== 2) : undefined
  return matrix && `muonApply: ${showType(matrix.type)} is no matrix`
}
