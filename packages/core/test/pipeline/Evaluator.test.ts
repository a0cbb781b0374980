import { expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { moveWeights } from "../../src/pipeline/Evaluator.ts"
import type { Value } from "../../src/tensor/Backend.ts"
import { Backend } from "../../src/tensor/Backend.ts"
import { HostTensor } from "../../src/tensor/HostTensor.ts"
import { Reference } from "../../src/tensor/Reference.ts"

it.effect(
  "weights that are moved to a backend are there and leave the host, but for memory that others lie in too",
  () =>
    Effect.gen(function* () {
      const both = Float32Array.of(1, 2, 3, 4)
      const shared = (at: number) => HostTensor.f32([2], both.subarray(at, at + 2))
      const weights = { own: HostTensor.f32([3], [5, 6, 7]), a: shared(0), b: shared(2) }
      const moved = yield* moveWeights(weights)
      const { read } = yield* Backend
      const valueOf = (value: Value) => ("_tag" in value ? read(value) : Effect.succeed(value))
      expect(yield* valueOf(moved["own"])).toEqual(HostTensor.f32([3], [5, 6, 7]))
      expect(yield* valueOf(moved["b"])).toEqual(HostTensor.f32([2], [3, 4]))
      expect(weights.own.data).toHaveLength(0)
      expect(both).toEqual(Float32Array.of(1, 2, 3, 4))
    }).pipe(Effect.scoped, Effect.provide(Reference.layer))
)
