import * as fc from "fast-check"
import { record } from "../../tensor/Graph.ts"
import type { DType, Shape } from "../../tensor/HostTensor.ts"
import { HostTensor, sizeOf } from "../../tensor/HostTensor.ts"
import { flatten } from "../../tensor/Tree.ts"
import type { CaseTable } from "./Case.ts"
import { compositeCases } from "./compositeCases.ts"
import type { Domain } from "./values.ts"
import { booleans, broadcastPair, dtypes, floats, indices, integers, numberDtypes, shapes, values } from "./values.ts"

const none = {}

const unary = (domain: Domain = "any") =>
  shapes()
    .chain((shape) => floats(shape, domain))
    .map((x) => ({ params: none, inputs: [x] }))

const ofDtype = (dtype: fc.Arbitrary<DType>) =>
  fc
    .tuple(dtype, shapes())
    .chain(([type, shape]) => values(type, shape))
    .map((x) => ({ params: none, inputs: [x] }))

const binary = (dtype: fc.Arbitrary<DType>) =>
  fc
    .tuple(dtype, broadcastPair)
    .chain(([type, [a, b]]) => fc.tuple(values(type, a), values(type, b)))
    .map((inputs) => ({ params: none, inputs }))

const compared = fc
  .tuple(numberDtypes, broadcastPair, fc.constantFrom("any", "ties"))
  .chain(([dtype, [a, b], domain]) => fc.tuple(values(dtype, a, domain), values(dtype, b, domain)))
  .map((inputs) => ({ params: none, inputs }))

/** A tensor of some type, and what parameters suit its shape. */
const anyWith = <P>(shape: fc.Arbitrary<Shape>, params: (shape: Shape) => fc.Arbitrary<P>, dtype = dtypes) =>
  fc
    .tuple(dtype, shape, fc.constantFrom("any", "ties"))
    .chain(([type, at, domain]) => fc.record({ params: params(at), x: values(type, at, domain) }))
    .map(({ params, x }): { params: P; inputs: ReadonlyArray<HostTensor> } => ({ params, inputs: [x] }))

const perAxis = <A>(shape: Shape, f: (extent: number) => fc.Arbitrary<A>) => fc.tuple(...shape.map(f))

const reduction = anyWith(
  shapes(),
  (shape) => {
    const all = shape.map((_, axis) => axis)
    return fc.record({ axes: fc.oneof(fc.constant([]), fc.constant(all), fc.subarray(all)), keepDims: fc.boolean() })
  },
  numberDtypes
)

const lastAxis = shapes(1)
  .chain((shape) => floats(shape))
  .map((x) => ({ params: none, inputs: [x] }))

/** Arrangements of the same number of elements: the axes in another order, with ones put in or axes merged. */
const reshaped = (shape: Shape): fc.Arbitrary<{ readonly shape: Shape }> =>
  fc
    .tuple(fc.shuffledSubarray([...shape], { minLength: shape.length }), fc.boolean(), fc.nat(3))
    .map(([order, merged, one]) => {
      const base = merged && order.length >= 2 ? [order[0] * order[1], ...order.slice(2)] : order
      return { shape: one === 0 ? [...base, 1] : one === 1 ? [1, ...base] : base }
    })

/** A table's row shape, a few ids. */
const tableAndIds = fc.record({ rows: fc.integer({ min: 1, max: 5 }), rest: shapes(0, 2), ids: shapes(0, 2) })

/** x -> tanh(swiglu(x, w) + step) while step < stop, beside counters and two values that change places. */
const loops: CaseTable["loop"] = fc
  .record({ shape: shapes(0, 2), maxSteps: fc.nat(5), stop: fc.integer({ min: 0, max: 6 }) })
  .chain(({ shape, maxSteps, stop }) => {
    const step = { dtype: "i32", shape: [] } as const
    const float = { dtype: "f32", shape } as const
    const flag = { dtype: "bool", shape: [] } as const
    const body = record(
      (inputs) => {
        const [at, x, y, count, odd, w, limit] = flatten(inputs)
        const next = x.swiglu(w).add(at.cast("f32")).tanh()
        return [at.add(1).less(limit), y, next, count.add(at), odd.not()]
      },
      [step, float, float, step, flag, float, step]
    ).graph
    return fc
      .tuple(floats(shape, "small"), floats(shape, "small"), integers([]), booleans([]), floats(shape, "small"))
      .map((inputs) => ({
        params: { body, carried: 4, maxSteps },
        inputs: [...inputs, HostTensor.i32([], [stop])]
      }))
  })

/** How to try each primitive: shapes with extent 1 and rank 0 where allowed, broadcasting, zeros, ties, duplicates. */
export const cases: CaseTable = {
  ...compositeCases,

  input: fc
    .tuple(dtypes, shapes())
    .chain(([dtype, shape]) => values(dtype, shape))
    .map((x) => ({ params: { name: "x", type: { dtype: x.dtype, shape: x.shape } }, inputs: [x] })),
  constant: fc
    .tuple(dtypes, shapes())
    .chain(([dtype, shape]) => values(dtype, shape))
    .map((value) => ({ params: { value }, inputs: [] })),
  iota: shapes(1)
    .chain((shape) => fc.record({ shape: fc.constant(shape), axis: fc.nat(shape.length - 1) }))
    .map((params) => ({ params, inputs: [] })),

  neg: ofDtype(numberDtypes),
  exp: unary("small"),
  log: unary("positive"),
  sqrt: unary("positive"),
  rsqrt: unary("positive"),
  reciprocal: unary("nonzero"),
  tanh: unary(),
  sigmoid: unary(),
  sin: unary(),
  cos: unary(),
  abs: ofDtype(numberDtypes),
  not: ofDtype(fc.constant("bool")),
  cast: anyWith(shapes(), () => fc.record({ dtype: fc.constantFrom<DType>("f32", "i32", "bool", "bool") })),
  stopGradient: ofDtype(dtypes),

  add: binary(numberDtypes),
  sub: binary(numberDtypes),
  mul: binary(numberDtypes),
  div: broadcastPair
    .chain(([a, b]) => fc.tuple(floats(a), floats(b, "nonzero")))
    .map((inputs) => ({ params: none, inputs })),
  maximum: compared,
  minimum: compared,
  less: compared,
  equal: compared,
  and: binary(fc.constant("bool")),
  or: binary(fc.constant("bool")),
  select: fc
    .tuple(dtypes, broadcastPair, fc.nat(2))
    .chain(([dtype, [a, b], turn]) => {
      // each of the three takes a turn at being the one that another shape stretches
      const at = [a, b, turn === 0 ? a : b]
      return fc.tuple(booleans(at[turn]), values(dtype, at[(turn + 1) % 3]), values(dtype, at[(turn + 2) % 3]))
    })
    .map((inputs) => ({ params: none, inputs })),

  reshape: anyWith(shapes(), reshaped),
  transpose: anyWith(shapes(), (shape) =>
    fc.record({
      permutation: fc.shuffledSubarray(
        shape.map((_, axis) => axis),
        { minLength: shape.length }
      )
    })
  ),
  broadcastTo: fc
    .tuple(dtypes, broadcastPair)
    .map(([dtype, [a, b]]) => ({ dtype, from: a, to: stretched(a, b) }))
    .chain(({ dtype, from, to }) => values(dtype, from).map((x) => ({ params: { shape: to }, inputs: [x] }))),
  slice: anyWith(shapes(), (shape) =>
    perAxis(shape, (extent) => fc.tuple(fc.nat(extent - 1), fc.nat(extent - 1))).map((ranges) => ({
      starts: ranges.map(([a, b]) => Math.min(a, b)),
      ends: ranges.map(([a, b]) => Math.max(a, b) + 1)
    }))
  ),
  pad: anyWith(shapes(), (shape) =>
    fc.record({ low: perAxis(shape, () => fc.nat(2)), high: perAxis(shape, () => fc.nat(2)) })
  ),
  concat: fc
    .tuple(dtypes, shapes(1, 3), fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 4 }), fc.nat(2))
    .chain(([dtype, shape, extents, at]) => {
      const axis = at % shape.length
      const parts = extents.map((extent) => values(dtype, shape.with(axis, extent)))
      return fc.tuple(...parts).map((inputs) => ({ params: { axis }, inputs }))
    }),

  sum: reduction,
  max: reduction,
  argmax: shapes(1)
    .chain((shape) => values("f32", shape, "ties"))
    .map((x) => ({ params: none, inputs: [x] })),
  cumsum: fc.tuple(lastAxis, fc.boolean()).map(([{ inputs }, reverse]) => ({ params: { reverse }, inputs })),
  topK: anyWith(
    shapes(1),
    (shape) => fc.record({ k: fc.integer({ min: 1, max: shape[shape.length - 1] }) }),
    fc.constant("f32")
  ),

  matmul: fc
    .tuple(broadcastPair, fc.tuple(...Array.from({ length: 3 }, () => fc.constantFrom(1, 2, 3, 4, 7, 17))))
    .filter(([[a, b], [m, k, n]]) => a.length <= 3 && b.length <= 3 && sizeOf(stretched(a, b)) * m * n * k <= 2000)
    .chain(([[a, b], [m, k, n]]) =>
      fc
        .record({ transposeA: fc.boolean(), transposeB: fc.boolean() })
        .chain((params) =>
          fc
            .tuple(
              floats([...a, ...(params.transposeA ? [k, m] : [m, k])]),
              floats([...b, ...(params.transposeB ? [n, k] : [k, n])])
            )
            .map((inputs) => ({ params, inputs }))
        )
    ),

  gather: fc
    .tuple(dtypes, tableAndIds)
    .chain(([dtype, { rows, rest, ids }]) => fc.tuple(values(dtype, [rows, ...rest]), indices(ids, rows)))
    .map((inputs) => ({ params: none, inputs })),
  scatterAdd: tableAndIds.chain(({ rows, rest, ids }) =>
    fc.tuple(indices(ids, rows), floats([...ids, ...rest])).map((inputs) => ({ params: { rows }, inputs }))
  ),
  pick: fc
    .tuple(dtypes, shapes(1))
    .chain(([dtype, shape]) => fc.tuple(values(dtype, shape), indices(shape.slice(0, -1), shape[shape.length - 1])))
    .map((inputs) => ({ params: none, inputs })),
  updateAt: fc.tuple(dtypes, shapes(1), fc.nat(3)).chain(([dtype, shape, at]) => {
    const axis = at % shape.length
    return fc
      .tuple(values(dtype, shape), values(dtype, shape.with(axis, 1)), indices([], shape[axis]))
      .map((inputs) => ({ params: { axis }, inputs }))
  }),

  loop: loops
}

/** What `from` becomes when it is broadcast against `other`. */
function stretched(from: Shape, other: Shape): Shape {
  const rank = Math.max(from.length, other.length)
  return Array.from({ length: rank }, (_, i) =>
    Math.max(from[i - rank + from.length] ?? 1, other[i - rank + other.length] ?? 1)
  )
}
