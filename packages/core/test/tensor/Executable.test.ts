import { describe, expect, it } from "@effect/vitest"
import { Cause, Effect } from "effect"
import type { Value } from "../../src/tensor/Backend.ts"
import { Backend } from "../../src/tensor/Backend.ts"
import { compile } from "../../src/tensor/Executable.ts"
import type { TensorType } from "../../src/tensor/HostTensor.ts"
import { HostTensor } from "../../src/tensor/HostTensor.ts"
import { Reference } from "../../src/tensor/Reference.ts"
import type { Tensor } from "../../src/tensor/Tensor.ts"

const pair: TensorType = { dtype: "f32", shape: [2] }
const types = { weights: { "layer.b": pair, "layer.a": pair }, x: pair }
const f = ({ weights, x }: { readonly weights: { "layer.b": Tensor; "layer.a": Tensor }; readonly x: Tensor }) => ({
  out: { first: weights["layer.b"].sub(weights["layer.a"]), second: [x.add(1)] },
  total: x.sum()
})
const two = (a: number, b: number) => HostTensor.f32([2], [a, b])
const numbers = (value: Value) => ("_tag" in value ? "a buffer" : Array.from(value.data))

describe("an executable", () => {
  it.effect("takes and gives trees, by name and not by the order in which they were written", () =>
    Effect.gen(function* () {
      const { run } = yield* compile("f", f, types, "host")
      const { out, total } = yield* run({ x: two(5, 6), weights: { "layer.a": two(1, 2), "layer.b": two(10, 20) } })
      expect(numbers(out.first)).toEqual([9, 18])
      expect(numbers(out.second[0])).toEqual([6, 7])
      expect(numbers(total)).toEqual([11])
    }).pipe(Effect.scoped, Effect.provide(Reference.layer))
  )

  it.effect("fetches each subtree as it was asked to", () =>
    Effect.gen(function* () {
      const backend = yield* Backend
      const { run } = yield* compile("f", f, types, {
        out: { first: { donate: 2 }, second: "resident" },
        total: "host"
      })
      const x = yield* backend.upload(two(5, 6))
      const { out, total } = yield* run({ x, weights: { "layer.a": two(1, 2), "layer.b": two(10, 20) } })
      expect(out.first).toBe(x)
      expect(numbers(yield* backend.read(x))).toEqual([9, 18])
      expect(numbers(out.second[0])).toBe("a buffer")
      expect(numbers(total)).toEqual([11])
    }).pipe(Effect.scoped, Effect.provide(Reference.layer))
  )

  it.effect("refuses a value of another type, and one that is missing, by its path", () =>
    Effect.gen(function* () {
      const { run } = yield* compile("f", f, types, "host")
      const why = (inputs: unknown) =>
        Effect.map(Effect.sandbox(Effect.flip(Effect.sandbox(run(inputs as never)))), Cause.pretty) // wrong on purpose
      const three = HostTensor.f32([3], [1, 2, 3])
      const weights = { "layer.a": two(1, 2), "layer.b": two(1, 2) }
      expect(yield* why({ x: two(1, 2), weights: { ...weights, "layer.a": three } })).toMatch(
        /f: input weights\.layer\.a is f32\[3\], compiled for f32\[2\]/
      )
      expect(yield* why({ x: HostTensor.i32([2], [1, 2]), weights })).toMatch(/f: input x is i32\[2\]/)
      expect(yield* why({ weights })).toMatch(/f: input x is missing, compiled for f32\[2\]/)
    }).pipe(Effect.scoped, Effect.provide(Reference.layer))
  )
})
