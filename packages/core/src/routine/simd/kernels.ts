/**
 * The loops of AdamW and of the global norm as WebAssembly on vectors of two f64. They do to each element what the plain loops do,
 * in the same order and rounded at the same places (WebAssembly has no fused multiply-add), so they give the same bits; only
 * which NaN comes of a NaN is open. They work on up to `chunk` elements at a time, in a memory of their own that stays in the
 * processor's cache: copying there and back costs less than it gains.
 */
import { lanes } from "../clip.ts"
import { assemble, doWhile, f64x2, i32, local, v128 } from "./assembler.ts"
import type { Code, Function } from "./assembler.ts"

/** Elements of an array that are worked on at a time. */
export const chunk = 2 ** 14

/** Where arrays of a chunk lie, and the running sums: in bytes. */
export const places = { param: 0, grad: 4 * chunk, m: 8 * chunk, v: 12 * chunk, sums: 16 * chunk } as const

/** How many elements a turn of a loop takes: arrays are filled up to a multiple of it. */
export const stride = lanes

const f32Bytes = 4
const f64Bytes = 8

/** Elements from `at`, in bytes, of an array; and into it. */
const load = (at: Code, place: number): Code => f64x2.promoteLow(v128.load64Zero(at, place))
const store = (at: Code, place: number, value: Code): Code => v128.store64Lane(at, place, f64x2.demoteZero(value))

/** `body` for every pair of elements from 0 to `end`, in bytes: it gets the address of the first, and counts the pairs of a turn. */
const overPairs = (at: number, end: Code, body: (at: Code, pair: number) => Code): Code => {
  const pairs = Array.from({ length: stride / 2 }, (_, pair) => body(local.get(at), pair))
  const advance = local.set(at, i32.add(local.get(at), i32.const(stride * f32Bytes)))
  return doWhile([...pairs.flat(), ...advance], i32.lessUnsigned(local.get(at), end))
}

const { add, sub, mul, div, sqrt } = f64x2

/** What `adamw` takes behind the end, in this order (AdamWNumbers). */
export const numbers = ["scale", "beta1", "rest1", "beta2", "rest2", "keep", "rate", "correction", "eps"] as const

const adamw = (): Function => {
  const both = 1 + numbers.length // each number once more, in both lanes of a vector
  const at = both + numbers.length
  const [g, first, second] = [at + 1, at + 2, at + 3]
  const [scale, beta1, rest1, beta2, rest2, keep, rate, correction, eps] = numbers.map((_, i) => local.get(both + i))
  const pair = (address: Code, offset: number): Code => {
    const from = (place: number) => load(address, place + offset)
    const to = (place: number, value: Code) => store(address, place + offset, value)
    const moved = div(mul(rate, local.get(first)), add(sqrt(mul(local.get(second), correction)), eps))
    return [
      ...local.set(g, f64x2.promoteLow(f64x2.demoteZero(mul(from(places.grad), scale)))),
      ...local.set(first, add(mul(beta1, from(places.m)), mul(rest1, local.get(g)))),
      ...local.set(second, add(mul(beta2, from(places.v)), mul(mul(rest2, local.get(g)), local.get(g)))),
      ...to(places.m, local.get(first)),
      ...to(places.v, local.get(second)),
      ...to(places.param, sub(mul(keep, from(places.param)), moved))
    ]
  }
  return {
    name: "adamw",
    parameters: ["i32", ...numbers.map(() => "f64" as const)],
    locals: [...numbers.map(() => "v128" as const), "i32", "v128", "v128", "v128"],
    code: [
      ...numbers.flatMap((_, i) => local.set(both + i, f64x2.splat(local.get(1 + i)))),
      ...overPairs(at, local.get(0), (address, i) => pair(address, 2 * f32Bytes * i))
    ]
  }
}

/** Adds squares of `grad` to the sums in memory, two lanes to a vector. */
const squares = (): Function => {
  const vectors = lanes / 2
  const [end, at, sums, x] = [0, 1, 2, 2 + vectors]
  const each = Array.from({ length: vectors }, (_, i) => ({ sum: sums + i, place: places.sums + 2 * f64Bytes * i }))
  return {
    name: "squares",
    parameters: ["i32"],
    locals: ["i32", ...each.map(() => "v128" as const), "v128"],
    code: [
      ...each.flatMap(({ sum, place }) => local.set(sum, v128.load(i32.const(0), place))),
      ...overPairs(at, local.get(end), (address, i) => [
        ...local.set(x, load(address, places.grad + 2 * f32Bytes * i)),
        ...local.set(sums + i, add(local.get(sums + i), mul(local.get(x), local.get(x))))
      ]),
      ...each.flatMap(({ sum, place }) => v128.store(i32.const(0), place, local.get(sum)))
    ]
  }
}

export const moduleBytes = (): Uint8Array<ArrayBuffer> =>
  assemble([adamw(), squares()], Math.ceil((places.sums + lanes * f64Bytes) / 2 ** 16))
