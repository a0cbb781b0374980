import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { narrowBF16, narrowF16 } from "../../src/model/narrow.ts"
import { upperHalf, widenBF16, widenF16 } from "../../src/model/widen.ts"

const all = Uint16Array.from({ length: 65_536 }, (_, i) => i)
const widened = (widen: (values: Float32Array) => void): Float32Array => {
  const values = new Float32Array(all.length)
  upperHalf(values).set(new Uint8Array(all.buffer))
  widen(values)
  return values
}
const firstDifference = (a: Uint16Array, b: Uint16Array) => a.findIndex((bits, i) => bits !== b[i])

/** Any 32 bits, and bits at and beside the middle between two values of 16 bits. */
const words = fc.array(
  fc.oneof(
    fc.integer(),
    fc.tuple(fc.nat(65_535), fc.constantFrom(0x7fff, 0x8000, 0x8001)).map(([high, low]) => (high << 16) | low),
    // F16 keeps 10 of 23 mantissa bits, fewer where it is subnormal.
    fc
      .tuple(fc.integer({ min: 0x32000000, max: 0x48000000 }), fc.nat(24), fc.constantFrom(-1, 0, 1), fc.boolean())
      .map(([word, zeros, beside, negative]) => ((word & (-1 << zeros)) + beside) | (negative ? -(2 ** 31) : 0))
  ),
  { minLength: 1, maxLength: 50 }
)
const floatsOf = (bits: ReadonlyArray<number>) => new Float32Array(Int32Array.from(bits).buffer)
const isNaNOf16 = (bits: number, exponent: number) => (bits & 0x7fff) > exponent

describe("narrowing", () => {
  it("gives back every pattern of 16 bits that was widened", () => {
    expect(firstDifference(narrowF16(widened(widenF16)), all)).toBe(-1)
    expect(firstDifference(narrowBF16(widened(widenBF16)), all)).toBe(-1)
  })

  it("to F16 rounds as the engine's Float16Array does", () => {
    // The library types of ES2024 do not have Float16Array yet; Node 24 does.
    const engine = globalThis as unknown as {
      Float16Array: new (values: Float32Array) => { readonly buffer: ArrayBuffer }
    }
    fc.assert(
      fc.property(words, (bits) => {
        const values = floatsOf(bits)
        const right = new Uint16Array(new engine.Float16Array(values).buffer)
        for (const [i, half] of narrowF16(values).entries()) {
          if (Number.isNaN(values[i])) expect(isNaNOf16(half, 0x7c00)).toBe(true)
          else expect(half).toBe(right[i])
        }
      }),
      { numRuns: 2000 }
    )
  })

  it("to BF16 takes the nearer of the two neighbours, the even one of equally near ones", () => {
    fc.assert(
      fc.property(words, (bits) => {
        const values = floatsOf(bits)
        for (const [i, half] of narrowBF16(values).entries()) {
          if (Number.isNaN(values[i])) {
            expect(isNaNOf16(half, 0x7f80)).toBe(true)
            continue
          }
          const low = bits[i] & 0xffff
          const down = bits[i] >>> 16
          expect(half).toBe(low > 0x8000 || (low === 0x8000 && (down & 1) === 1) ? down + 1 : down)
        }
      }),
      { numRuns: 2000 }
    )
  })
})
