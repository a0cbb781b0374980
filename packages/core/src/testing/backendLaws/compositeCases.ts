import * as fc from "fast-check"
import type { HostTensor, Shape } from "../../tensor/HostTensor.ts"
import type { Composite } from "../../tensor/Primitive.ts"
import type { CaseTable } from "./Case.ts"
import { booleans, floats, indices, shapes } from "./values.ts"

const small = (min: number, max: number) => fc.integer({ min, max })

const lastAxis = shapes(1)
  .chain((shape) => floats(shape))
  .map((x) => ({ params: {}, inputs: [x] }))

/** Either all of the leading axes or some of them stretched, as the rotation of a position is over the heads. */
const anglesFor = (half: Shape, stretched: number, dropped: number): Shape =>
  half
    .map((extent, axis) => (axis < half.length - 1 && (stretched >> axis) & 1 ? 1 : extent))
    .slice(Math.min(dropped, half.length - 1))

/** A mask over the last axis, of a shape that broadcasts, where every query sees the key `always`. */
const masks = (full: Shape, always: boolean): fc.Arbitrary<HostTensor> =>
  fc
    .nat(15)
    .map((stretched) => full.map((extent, axis) => (axis < 4 && (stretched >> axis) & 1 ? 1 : extent)))
    .chain((shape) => booleans(shape))
    .map((mask) => {
      if (!always) return mask
      const keys = full[4]
      return { ...mask, data: mask.data.map((seen, i) => (i % keys === 0 ? 1 : seen)) } as HostTensor // still bytes
    })

const attentions: CaseTable["attention"] = fc
  .record({
    documents: small(1, 2),
    keyHeads: small(1, 2),
    shared: small(1, 3),
    branches: small(1, 3),
    length: small(1, 4),
    width: fc.constantFrom(1, 2, 4, 8),
    sets: fc.array(fc.record({ keys: small(1, 6), trunk: fc.boolean() }), { minLength: 1, maxLength: 3 }),
    scale: fc.constantFrom(0.25, 0.5, 1, 1 / Math.sqrt(3))
  })
  .chain(({ documents: D, keyHeads: Hk, shared, branches: B, length: L, width: dh, sets, scale }) => {
    const H = Hk * shared
    const keys = sets.flatMap(({ keys, trunk }, i): ReadonlyArray<fc.Arbitrary<HostTensor>> => {
      const shape: Shape = trunk ? [D, Hk, keys, dh] : [D, Hk, B, keys, dh]
      // Every query sees at least one key, of the first set.
      return [floats(shape, "small"), floats(shape, "small"), masks([D, H, B, L, keys], i === 0)]
    })
    const q: fc.Arbitrary<HostTensor> = floats([D, H, B, L, dh], "small")
    return fc.tuple(q, ...keys).map((values) => ({ params: { scale }, inputs: values }))
  })

export const compositeCases: Pick<CaseTable, Composite> = {
  softmax: lastAxis,
  logSoftmax: lastAxis,
  rmsNorm: fc
    .tuple(shapes(1), fc.constantFrom(1e-6, 1e-5, 0.5))
    .chain(([shape, eps]) =>
      fc.tuple(floats(shape), floats(shape.slice(-1), "small")).map((inputs) => ({ params: { eps }, inputs }))
    ),
  rotary: fc
    .tuple(shapes(1, 4), fc.nat(7), fc.nat(3))
    .filter(([half]) => half.length > 0)
    .chain(([half, stretched, dropped]) => {
      const angles = anglesFor(half, stretched, dropped)
      return fc.tuple(
        floats(half.with(half.length - 1, half[half.length - 1] * 2)),
        floats(angles, "small"),
        floats(angles, "small")
      )
    })
    .map((inputs) => ({ params: {}, inputs })),
  keep: shapes()
    .chain((shape) => floats(shape))
    .map((x) => ({ params: {}, inputs: [x] })),
  swiglu: shapes()
    .chain((shape) => fc.tuple(floats(shape), floats(shape)))
    .map((inputs) => ({ params: {}, inputs })),
  selectedLogProb: fc
    .record({
      n: small(1, 5),
      v: small(1, 9),
      d: small(1, 6),
      params: fc.record({ chunk: fc.constantFrom(1, 2, 4, 8192), remake: fc.boolean() })
    })
    .chain(({ n, v, d, params }) =>
      fc.tuple(floats([n, d], "small"), floats([v, d], "small"), indices([n], v)).map((inputs) => ({ params, inputs }))
    ),
  attention: attentions
}
