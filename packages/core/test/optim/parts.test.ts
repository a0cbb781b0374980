import * as fc from "fast-check"
import { expect, it } from "vitest"
import { inParts } from "../../src/optim/parts.ts"

const MiB = 2 ** 20
const sizes = fc.dictionary(fc.string({ maxLength: 5 }), fc.integer({ min: 0, max: 300 * MiB }), { maxKeys: 60 })

it("an update is cut into few parts of each weight once, the largest first, none of them small but the last", () => {
  fc.assert(
    fc.property(sizes, (bytes) => {
      const names = Object.keys(bytes)
      const parts = inParts(names, (name) => bytes[name])
      expect(parts.flat().toSorted()).toEqual(names.toSorted())
      expect(parts.length).toBeLessThanOrEqual(16)
      const inOrder = parts.flat().map((name) => bytes[name])
      expect(inOrder).toEqual(inOrder.toSorted((a, b) => b - a))
      for (const part of parts.slice(0, -1)) {
        expect(part.reduce((sum, name) => sum + bytes[name], 0)).toBeGreaterThanOrEqual(4 * MiB)
      }
    })
  )
})

it("a small model is updated in one part, and nothing in none", () => {
  expect(inParts(["a", "b"], () => MiB)).toEqual([["a", "b"]])
  expect(inParts([], () => MiB)).toEqual([])
})
