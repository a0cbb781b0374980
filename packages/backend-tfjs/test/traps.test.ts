import { assert, it } from "@effect/vitest"
import { concat, HostTensor, loop } from "@foretoken/core"
import * as Effect from "effect/Effect"
import { Tfjs } from "../src/index.ts"
import { guardMemory } from "../src/wasm/guardMemory.ts"
import { evaluate, numbers, onEveryDevice } from "./devices.ts"

const ones = (...shape: ReadonlyArray<number>) => HostTensor.fill("f32", shape, 1)
const counting = (...shape: ReadonlyArray<number>) => {
  const size = shape.reduce((product, extent) => product * extent, 1)
  return HostTensor.f32(
    shape,
    Array.from({ length: size }, (_, i) => i)
  )
}

it("refuses memory that WebAssembly does not have, where tfjs would write to address 0", () => {
  const module = { _malloc: (bytes: number) => (bytes > 100 ? 0 : 8), _free: () => undefined }
  guardMemory(module)
  assert.strictEqual(module._malloc(100), 8)
  assert.throws(() => module._malloc(101), /out of memory/)
})

// Each of these is something that TensorFlow.js gets wrong, or lacks, on one of its backends; the lowering goes around it.
onEveryDevice((device) => {
  const layer = Tfjs.layer({ device })

  it.effect("multiplies by a matrix and by the same values reshaped, in one program", () =>
    Effect.gen(function* () {
      const [wide, tall, again] = yield* evaluate(
        (a, b, w) => [a.matmul(w), b.matmul(w.reshape([4, 2])), a.matmul(w)],
        [ones(1, 2), ones(1, 4), counting(2, 4)]
      )
      assert.deepStrictEqual(numbers(wide), [4, 6, 8, 10])
      assert.deepStrictEqual(numbers(tall), [12, 16])
      assert.deepStrictEqual(numbers(again), [4, 6, 8, 10])
    }).pipe(Effect.provide(layer))
  )

  it.effect("multiplies batches large and small, broadcast and transposed", () =>
    Effect.gen(function* () {
      const [large, small] = yield* evaluate(
        (a, b, c, d) => [
          a.matmul(b, { transposeA: true, transposeB: true }),
          c.matmul(d, { transposeB: true }).reshape([-1])
        ],
        [ones(2, 1, 40, 33), ones(1, 3, 50, 40), counting(2, 1, 2), counting(1, 3, 2)]
      )
      assert.deepStrictEqual(large, HostTensor.fill("f32", [2, 3, 33, 50], 40))
      // rows [0,1] and [2,3] by rows [0,1], [2,3], [4,5]
      assert.deepStrictEqual(numbers(small), [1, 3, 5, 3, 13, 23])
    }).pipe(Effect.provide(layer))
  )

  it.effect("gates alike whether a gradient reads the sigmoid or nothing does", () =>
    Effect.gen(function* () {
      const line = (shift: number) =>
        HostTensor.f32(
          [33],
          Float32Array.from({ length: 33 }, (_, i) => Math.sin(i * 12.9898 + shift) * 4)
        )
      const inputs = [line(1), line(2)]
      const [alone] = yield* evaluate((gate, up) => [gate.swiglu(up)], inputs)
      const [beside] = yield* evaluate(
        (gate, up) => [gate.swiglu(up), gate.sigmoid(), gate.mul(gate.sigmoid())],
        inputs
      )
      assert.deepStrictEqual(numbers(alone), numbers(beside))
    }).pipe(Effect.provide(layer))
  )

  it.effect("selects between bools", () =>
    Effect.gen(function* () {
      const bools = (shape: ReadonlyArray<number>, values: ReadonlyArray<number>) => HostTensor.bool(shape, values)
      const [chosen] = yield* evaluate(
        (condition, a, b) => [condition.select(a, b)],
        [bools([2, 1], [1, 0]), bools([3], [1, 0, 1]), bools([3], [0, 1, 1])]
      )
      assert.deepStrictEqual(chosen, bools([2, 3], [1, 0, 1, 0, 1, 1]))
    }).pipe(Effect.provide(layer))
  )

  it.effect("casts every number but zero to true", () =>
    Effect.gen(function* () {
      const [fromInt, fromFloat] = yield* evaluate(
        (i, f) => [i.cast("bool"), f.cast("bool")],
        [HostTensor.i32([4], [0, 1, 256, -512]), HostTensor.f32([4], [0, 0.5, -0.1, 256])]
      )
      assert.deepStrictEqual(numbers(fromInt), [0, 1, 1, 1])
      assert.deepStrictEqual(numbers(fromFloat), [0, 1, 1, 1])
    }).pipe(Effect.provide(layer))
  )

  it.effect("broadcasts seven axes that alternate", () =>
    Effect.gen(function* () {
      const [sum] = yield* evaluate(
        (a, b) => [a.add(b).reshape([-1])],
        [counting(2, 1, 2, 1, 2, 1, 2), ones(1, 2, 1, 2, 1, 2, 1)]
      )
      const expected = Array.from({ length: 128 }, (_, i) => {
        const bits = i.toString(2).padStart(7, "0") // a[b6, b4, b2, b0] + 1
        return Number.parseInt(bits[0] + bits[2] + bits[4] + bits[6], 2) + 1
      })
      assert.deepStrictEqual(numbers(sum), expected)
    }).pipe(Effect.provide(layer))
  )

  it.effect("stretches and selects along seven axes that alternate", () =>
    Effect.gen(function* () {
      const [stretched, chosen] = yield* evaluate(
        (condition, a, b) => [a.broadcastTo([2, 2, 2, 2, 2, 2, 2]).reshape([-1]), condition.select(a, b).reshape([-1])],
        [HostTensor.bool([1, 1, 1, 1, 1, 1, 2], [1, 0]), counting(2, 1, 2, 1, 2, 1, 2), ones(1, 2, 1, 2, 1, 2, 1)]
      )
      const along = (i: number): number => {
        const bits = i.toString(2).padStart(7, "0")
        return Number.parseInt(bits[0] + bits[2] + bits[4] + bits[6], 2)
      }
      const all = Array.from({ length: 128 }, (_, i) => along(i))
      assert.deepStrictEqual(numbers(stretched), all)
      assert.deepStrictEqual(
        numbers(chosen),
        all.map((value, i) => (i % 2 === 0 ? value : 1))
      )
    }).pipe(Effect.provide(layer))
  )

  it.effect("changes a row of a loop's cache and not of what the loop began with", () =>
    Effect.gen(function* () {
      const [before, after, other] = yield* evaluate(
        (cache, row) => {
          const { a, b } = loop(
            { carried: { a: cache, b: cache }, fixed: { row }, maxSteps: 3 },
            (step, at, { row }) => ({
              continues: step.less(9),
              carried: { a: at.a.updateAt(1, row.mul(step.add(1).cast("f32")), step), b: at.a }
            })
          )
          return [cache, a, b]
        },
        [ones(2, 4, 2), ones(2, 1, 2)]
      )
      const rows = (...values: ReadonlyArray<number>) => [...values, ...values].flatMap((value) => [value, value])
      assert.deepStrictEqual(numbers(before), rows(1, 1, 1, 1))
      assert.deepStrictEqual(numbers(after), rows(1, 2, 3, 1))
      assert.deepStrictEqual(numbers(other), rows(1, 2, 1, 1))
    }).pipe(Effect.provide(layer))
  )

  it.effect("sums along the last axis of three, from either end", () =>
    Effect.gen(function* () {
      const [forth, back] = yield* evaluate((x) => [x.cumsum(), x.cumsum(true)], [counting(1, 2, 3)])
      assert.deepStrictEqual(numbers(forth), [0, 1, 3, 3, 7, 12])
      assert.deepStrictEqual(numbers(back), [3, 3, 2, 12, 9, 5])
    }).pipe(Effect.provide(layer))
  )

  it.effect("gives minus infinity no weight and a masked row no NaN", () =>
    Effect.gen(function* () {
      const [weights] = yield* evaluate((x) => [x.softmax()], [HostTensor.f32([2, 2], [-Infinity, 3, -1e30, -1e30])])
      assert.deepStrictEqual(numbers(weights), [0, 1, 0.5, 0.5])
    }).pipe(Effect.provide(layer))
  )

  it.effect("handles tensors without elements", () =>
    Effect.gen(function* () {
      const nothing = HostTensor.f32([0, 2], [])
      const [sum, product, joined, padded, rows] = yield* evaluate(
        (empty, x, ids) => [
          empty.sum(0),
          empty.matmul(empty, { transposeA: true }),
          concat([empty, x], 0),
          empty.pad([1, 0], [0, 0]),
          empty.scatterAdd(ids, 1)
        ],
        [nothing, counting(1, 2), HostTensor.i32([0], [])]
      )
      assert.deepStrictEqual(numbers(sum), [0, 0])
      assert.deepStrictEqual(product, HostTensor.fill("f32", [2, 2], 0))
      assert.deepStrictEqual(joined, counting(1, 2))
      assert.deepStrictEqual(padded, HostTensor.fill("f32", [1, 2], 0))
      assert.deepStrictEqual(rows, HostTensor.fill("f32", [1, 2], 0))
    }).pipe(Effect.provide(layer))
  )
})
