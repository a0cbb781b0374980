/**
 * Programs that must not compile: `tsc -b` fails over a `@ts-expect-error` that has nothing to expect. What runs here only
 * shows that the right ones do.
 */
import { describe, expect, expectTypeOf, test } from "vitest"
import * as fc from "fast-check"
import { policyLoss, type PolicyTokens } from "../../src/rl/policyLoss.ts"
import { k1, k3, ratio } from "../../src/rl/importance.ts"
import { at, behaviourLogprobs, currentLogprobs, type Mask, maskOf, rawLogprobs } from "../../src/rl/Logprobs.ts"
import type { Batch } from "../../src/rl/Batch.ts"
import * as Loss from "../../src/rl/loss.ts"
import type { PolicyVersion, Rollout } from "../../src/rl/Rollout.ts"
import type { Tensor } from "../../src/tensor/Tensor.ts"

const numbers = Float32Array.of(-1, -2)
const loss = Loss.clipped({ low: 0.2, high: 0.2 })

describe("log-probabilities say what they are", () => {
  test("a ratio takes the current one over that of the behaviour policy, and nothing else", () => {
    const [current, behaviour, raw] = [currentLogprobs(-1), behaviourLogprobs(-2), rawLogprobs(-1)]
    expect(ratio(current, behaviour)).toBeCloseTo(Math.E, 12)
    // @ts-expect-error swapped
    ratio(behaviour, current)
    // @ts-expect-error temperature-free log-probabilities against those that were sampled from
    ratio(raw, behaviour)
    // @ts-expect-error numbers of unknown origin
    ratio(-1, -2)
    // @ts-expect-error current against current: always 1
    k1(current, current)
    // @ts-expect-error behaviour against behaviour: always 0
    k3(behaviour, behaviour)
  })

  test("an element is what its array is; computed values are nothing in particular", () => {
    const behaviour = behaviourLogprobs(numbers)
    expect(ratio(currentLogprobs(-2), at(behaviour, 1))).toBe(1)
    // @ts-expect-error an element of behaviour log-probabilities is no current one
    ratio(at(behaviour, 0), at(behaviour, 0))
    // @ts-expect-error shifted values have lost their origin
    ratio(currentLogprobs(-1), behaviour[0] - 1)
    const doubled = behaviour.map((x) => 2 * x)
    // @ts-expect-error so has a mapped array
    at(doubled, 0)
  })

  test("a rollout and a batch hold those of the behaviour policy", () => {
    const wrongs = (rollout: Rollout, batch: Batch): ReadonlyArray<Rollout | Batch> => [
      { ...rollout, behaviourLogprobs: behaviourLogprobs(numbers) },
      // @ts-expect-error an array of unknown origin
      { ...rollout, behaviourLogprobs: numbers },
      // @ts-expect-error those of the policy in training
      { ...rollout, behaviourLogprobs: currentLogprobs(numbers) },
      // @ts-expect-error those of the policy in training
      { ...batch, behaviourLogprobs: currentLogprobs(numbers) },
      // @ts-expect-error any text is no version: it is the hash of weights
      { ...rollout, policyVersion: "latest" }
    ]
    expectTypeOf(wrongs).returns.toEqualTypeOf<ReadonlyArray<Rollout | Batch>>()
    expectTypeOf<string>().not.toExtend<PolicyVersion>()
  })

  test("a loss takes current ones at the sampling temperature", () => {
    const wrongs = (batch: Batch) => [
      () => Loss.reference(loss, batch, currentLogprobs(numbers)),
      // @ts-expect-error an array of unknown origin
      () => Loss.reference(loss, batch, numbers),
      // @ts-expect-error the behaviour policy's own: every ratio would be 1
      () => Loss.reference(loss, batch, batch.behaviourLogprobs),
      // @ts-expect-error temperature-free ones: every ratio would be off
      () => Loss.reference(loss, batch, rawLogprobs(numbers))
    ]
    expectTypeOf(wrongs).toBeFunction()
  })

  test("and so does its tensor program, with a mask made of lengths", () => {
    const wrongs = (tensor: Tensor, right: PolicyTokens) => [
      () => policyLoss(loss, right),
      // @ts-expect-error a tensor of unknown origin
      () => policyLoss(loss, { ...right, logprobs: tensor }),
      // @ts-expect-error swapped
      () => policyLoss(loss, { ...right, logprobs: right.behaviourLogprobs, behaviourLogprobs: right.logprobs }),
      // @ts-expect-error temperature-free
      () => policyLoss(loss, { ...right, logprobs: rawLogprobs(tensor) }),
      // @ts-expect-error scaled afterwards: no longer what it was
      () => policyLoss(loss, { ...right, logprobs: right.logprobs.mul(2) }),
      // @ts-expect-error a mask from token values: a completion may contain the pad token
      () => policyLoss(loss, { ...right, mask: tensor.greater(0).cast("f32") })
    ]
    expectTypeOf(wrongs).toBeFunction()
  })
})

describe("a mask", () => {
  test("is 1 from the start to the length of each row, by definition", () => {
    const widths = fc.integer({ min: 1, max: 6 })
    const cases = widths.chain((width) =>
      fc.record({
        width: fc.constant(width),
        from: fc.nat(width),
        lengths: fc.array(fc.nat(width), { maxLength: 5 })
      })
    )
    fc.assert(
      fc.property(cases, ({ width, from, lengths }) => {
        const mask: Mask<Float32Array> = maskOf(lengths, width, from)
        const expected = lengths.flatMap((length) =>
          Array.from({ length: width }, (_, i) => (i >= from && i < length ? 1 : 0))
        )
        expect(Array.from(mask)).toEqual(expected)
      })
    )
  })

  test("cannot be made of anything but lengths", () => {
    // @ts-expect-error from the tokens themselves
    const wrong: Mask<Float32Array> = Float32Array.from([5, 0, 3], (id) => (id === 0 ? 0 : 1))
    expect(wrong).toHaveLength(3)
  })
})
