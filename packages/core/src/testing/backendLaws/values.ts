import * as fc from "fast-check"
import type { DType, HostF32, HostI32, Shape } from "../../tensor/HostTensor.ts"
import { HostTensor, sizeOf } from "../../tensor/HostTensor.ts"

const extent = fc.oneof(
  { weight: 3, arbitrary: fc.constant(1) },
  { weight: 8, arbitrary: fc.integer({ min: 1, max: 5 }) },
  { weight: 1, arbitrary: fc.constant(17) } // wider than a vector register
)

/** Shapes without empty axes, small enough to print. */
export const shapes = (minRank = 0, maxRank = 4): fc.Arbitrary<Array<number>> =>
  fc.array(extent, { minLength: minRank, maxLength: maxRank }).filter((shape) => sizeOf(shape) <= 300)

/** Two shapes that broadcast against each other. */
export const broadcastPair: fc.Arbitrary<readonly [Shape, Shape]> = fc
  .record({
    shape: shapes(),
    ones: fc.tuple(fc.nat(15), fc.nat(15)),
    dropped: fc.tuple(fc.nat(4), fc.nat(4)),
    whole: fc.nat(2)
  })
  .map(({ shape, ones, dropped, whole }) => {
    // one of them keeps the whole shape in two cases of three, so that both may be stretched in the third
    const part = (n: 0 | 1) =>
      whole === n
        ? shape
        : shape.map((e, axis) => ((ones[n] >> axis) & 1 ? 1 : e)).slice(Math.min(dropped[n], shape.length))
    return [part(0), part(1)] as const
  })

/** Which numbers: moderate with zeros and some large ones; positive; away from zero; small; so few that many are equal. */
export type Domain = "any" | "positive" | "nonzero" | "small" | "ties"

const grid = (max: number, step: number) => fc.integer({ min: -max / step, max: max / step }).map((n) => n * step)

const number = (domain: Domain): fc.Arbitrary<number> => {
  switch (domain) {
    case "any":
      return fc.oneof(
        { weight: 10, arbitrary: grid(4, 1 / 1024) },
        { weight: 3, arbitrary: grid(2, 1 / 2) },
        { weight: 1, arbitrary: grid(100, 1) }
      )
    case "positive":
      return fc.oneof(
        { weight: 8, arbitrary: fc.integer({ min: 1, max: 4096 }).map((n) => n / 256) },
        { weight: 1, arbitrary: fc.integer({ min: 1, max: 100 }).map((n) => n * 100) }
      )
    case "nonzero":
      return fc.tuple(number("positive"), fc.boolean()).map(([x, negative]) => (negative ? -x : x))
    case "small":
      return grid(2, 1 / 512)
    case "ties":
      return grid(1, 1 / 2)
  }
}

const array = <A>(element: fc.Arbitrary<A>, size: number): fc.Arbitrary<Array<A>> =>
  fc.array(element, { minLength: size, maxLength: size })

export const floats = (shape: Shape, domain: Domain = "any"): fc.Arbitrary<HostF32> =>
  array(number(domain), sizeOf(shape)).map((data) => HostTensor.f32(shape, data))

export const integers = (shape: Shape, max = 100): fc.Arbitrary<HostI32> =>
  array(fc.integer({ min: -max, max }), sizeOf(shape)).map((data) => HostTensor.i32(shape, data))

/** Row numbers below `rows`, so few that some come twice. */
export const indices = (shape: Shape, rows: number): fc.Arbitrary<HostI32> =>
  array(fc.nat(rows - 1), sizeOf(shape)).map((data) => HostTensor.i32(shape, data))

export const booleans = (shape: Shape): fc.Arbitrary<HostTensor> =>
  array(fc.boolean(), sizeOf(shape)).map((data) => HostTensor.bool(shape, data))

export const values = (dtype: DType, shape: Shape, domain: "any" | "ties" = "any"): fc.Arbitrary<HostTensor> =>
  dtype === "f32"
    ? floats(shape, domain)
    : dtype === "i32"
      ? integers(shape, domain === "ties" ? 1 : 100)
      : booleans(shape)

/** Mostly floats: most of a program is. */
export const dtypes: fc.Arbitrary<DType> = fc.oneof(
  { weight: 3, arbitrary: fc.constant<DType>("f32") },
  { weight: 1, arbitrary: fc.constant<DType>("i32") },
  { weight: 1, arbitrary: fc.constant<DType>("bool") }
)
export const numberDtypes: fc.Arbitrary<DType> = dtypes.map((dtype) => (dtype === "bool" ? "f32" : dtype))
