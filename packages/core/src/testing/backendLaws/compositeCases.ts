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
    keys: small(1, 5),
    width: fc.constantFrom(1, 2, 4, 8),
    trunk: fc.option(small(1, 6), { nil: 0 }),
    scale: fc.constantFrom(0.25, 0.5, 1, 1 / Math.sqrt(3))
  })
  .chain(({ documents: D, keyHeads: Hk, shared, branches: B, length: L, keys: C, width: dh, trunk: T, scale }) => {
    const H = Hk * shared
    const own = [
      floats([D, H, B, L, dh], "small"),
      floats([D, Hk, B, C, dh], "small"),
      floats([D, Hk, B, C, dh], "small"),
      masks([D, H, B, L, C], true)
    ]
    const shared4: Shape = [D, Hk, T, dh]
    const ofTrunk = [floats(shared4, "small"), floats(shared4, "small"), masks([D, H, B, L, T], false)]
    const inputs: ReadonlyArray<fc.Arbitrary<HostTensor>> = T === 0 ? own : [...own, ...ofTrunk]
    return fc.tuple(...inputs).map((values) => ({ params: { scale }, inputs: values }))
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
  swiglu: shapes()
    .chain((shape) => fc.tuple(floats(shape), floats(shape)))
    .map((inputs) => ({ params: {}, inputs })),
  selectedLogProb: fc
    .record({ n: small(1, 5), v: small(1, 9), d: small(1, 6), chunk: fc.constantFrom(1, 2, 4, 8192) })
    .chain(({ n, v, d, chunk }) =>
      fc
        .tuple(floats([n, d], "small"), floats([v, d], "small"), indices([n], v))
        .map((inputs) => ({ params: { chunk }, inputs }))
    ),
  attention: attentions
}
