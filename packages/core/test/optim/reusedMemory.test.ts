import { setImmediate } from "node:timers/promises"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import * as fc from "fast-check"
import { expect, it } from "vitest"
import { makeReusedMemory, policiesReused } from "../../src/optim/reusedMemory.ts"

setFlagsFromString("--expose-gc")
const gc: () => void = runInNewContext("gc")
/** The collector clears what nothing holds, once the turn that had it is over. */
const collect = async () => {
  await setImmediate()
  gc()
  await setImmediate()
}

const size = 2 ** 14

it("memory that someone holds a view of is never given out, whatever is taken, held and let go", async () => {
  const steps = fc.array(fc.record({ holds: fc.boolean(), lets: fc.boolean(), collects: fc.boolean() }))
  await fc.assert(
    fc.asyncProperty(steps, fc.integer({ min: 0, max: 3 }), async (steps, most) => {
      const memory = makeReusedMemory(most)
      const held = new Map<number, Float32Array>()
      for (const [i, { holds, lets, collects }] of steps.entries()) {
        const taken = memory.take("w", size)?.fill(i)
        // Of another name, and none of what is looked at.
        memory.take("v", size)?.fill(-1)
        if (holds && taken !== undefined) held.set(i, taken.subarray(i))
        const [oldest] = held.keys()
        if (lets && oldest !== undefined) held.delete(oldest)
        if (collects) await collect()
        for (const [value, view] of held) expect(view.every((each) => each === value)).toBe(true)
        expect(held.size).toBeLessThanOrEqual(most)
      }
    }),
    { numRuns: 30 }
  )
})

it("memory that nobody holds is given out again, in place of new memory", async () => {
  const memory = makeReusedMemory(2)
  const fill = (value: number) => memory.take("w", size)?.fill(value)
  fill(1)
  fill(2)
  expect(fill(3)).toBeUndefined()
  await collect()
  expect(memory.take("w", size)?.[0]).toBe(1)
  expect(memory.take("w", size)?.[0]).toBe(2)
})

it("small values have no memory of their own, and neither have policies that would keep more than 256 MiB", () => {
  expect(makeReusedMemory(3).take("norm", 288)).toBeUndefined()
  expect([0, 61e6, 100e6, 200e6, 540e6].map(policiesReused)).toEqual([3, 3, 2, 1, 0])
})
