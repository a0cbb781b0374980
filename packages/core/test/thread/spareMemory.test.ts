import * as fc from "fast-check"
import { expect, it } from "vitest"
import { sizeOf } from "../../src/tensor/HostTensor.ts"
import type { DType, HostTensor } from "../../src/tensor/HostTensor.ts"
import { makeSpareMemory } from "../../src/thread/spareMemory.ts"

const dtype = fc.constantFrom<DType>("f32", "i32", "bool", "f16", "bf16")
const type = fc.record({ dtype, shape: fc.array(fc.integer({ min: 0, max: 9 }), { maxLength: 3 }) })
/** A value of a type is taken, or one of those that are out is given back. */
const moves = fc.array(fc.oneof(type, fc.nat({ max: 5 })), { maxLength: 40 })

it("values that are out never share memory, and have the type that was asked for", () => {
  fc.assert(
    fc.property(moves, (all) => {
      const { take, giveBack } = makeSpareMemory()
      const out: Array<HostTensor> = []
      for (const move of all) {
        if (typeof move === "number") out.splice(move, 1).forEach(giveBack)
        else {
          const value = take(move)
          expect({ dtype: value.dtype, shape: value.shape }).toEqual(move)
          expect(value.data).toHaveLength(sizeOf(move.shape))
          out.push(value)
        }
        expect(new Set(out.map(({ data }) => data.buffer)).size).toBe(out.length)
      }
    })
  )
})

it("the largest memory is used again, for smaller values too; the smallest of three goes", () => {
  const { take, giveBack } = makeSpareMemory()
  const of = (size: number) => take({ dtype: "f32", shape: [size] })
  const all = [of(100), of(10), of(50)]
  const [large, small, middle] = all.map(({ data }) => data.buffer)
  all.forEach(giveBack)
  expect(small.byteLength).toBe(0)
  expect(of(20).data.buffer).toBe(middle)
  expect(of(20).data.buffer).toBe(large)
  expect(of(20).data.buffer.byteLength).toBe(80)
})
