import { describe, expect, test } from "vitest"
import * as fc from "fast-check"
import type { Problem } from "../../src/data/NextToken.ts"
import { utf8 } from "../../src/prompt/bytes.ts"
import { scored } from "../../src/reward/Verdict.ts"
import * as Batch from "../../src/rl/Batch.ts"
import type { AdvantagedGroup } from "../../src/rl/Group.ts"
import { behaviourLogprobs, PolicyVersion, type Rollout } from "../../src/rl/Rollout.ts"
import { arbitraries } from "../../src/testing/index.ts"

const frame: Batch.Frame = { head: Int32Array.of(90), tail: Int32Array.of(91, 92) }

const problemAt = (id: string, tokens: ReadonlyArray<number>, anchor: number): Problem => ({
  id: `${id}@${anchor}`,
  document: { id, tokens: Int32Array.from(tokens) },
  anchor,
  continuation: { bytes: utf8("x"), boundaries: [1] }
})

/** A group of completions; every token has log-probability -(token + 1) / 10. */
const groupOf = (problem: Problem, ...completions: ReadonlyArray<ReadonlyArray<number>>): AdvantagedGroup => ({
  problem,
  excluded: 0,
  rollouts: completions.map((tokens, index) => ({
    rollout: {
      id: `${problem.id}/${index}`,
      problem,
      index,
      policyVersion: arbitraries.policyVersion,
      completion: { tokens: Int32Array.from(tokens), ended: "stop" },
      behaviourLogprobs: behaviourLogprobs(Float32Array.from(tokens, (token) => -(token + 1) / 10)),
      temperature: 1,
      bytes: Uint8Array.from(tokens)
    },
    prediction: { outcome: "truncated" },
    verdict: scored(1, {}),
    advantage: index + 1
  }))
})

const rowOf = (array: Int32Array | Float32Array, row: number, length: number) =>
  Array.from(array.subarray(row * length, (row + 1) * length))

describe("a batch", () => {
  const early = groupOf(problemAt("a", [1, 2, 3, 4, 5], 2), [7, 0], [8])
  const late = groupOf(problemAt("a", [1, 2, 3, 4, 5], 4), [0, 0, 9, 7, 7, 7, 7])
  const other = groupOf(problemAt("b", [6, 6, 6], 1), [5])
  const batch = Batch.pack(frame, [early, other, late])

  test("holds each document once, up to its last anchor, behind the head", () => {
    expect([batch.trunk.documents, batch.trunk.length]).toEqual([2, 8])
    expect(Array.from(batch.trunk.lengths)).toEqual([5, 2])
    expect(rowOf(batch.trunk.tokens, 0, 8)).toEqual([90, 1, 2, 3, 4, 0, 0, 0])
    expect(rowOf(batch.trunk.tokens, 1, 8)).toEqual([90, 6, 0, 0, 0, 0, 0, 0])
  })

  test("knows which policies sampled it, and at which temperature", () => {
    expect([batch.temperature, batch.policyVersions]).toEqual([1, [arbitraries.policyVersion]])
    const next = PolicyVersion.make("1".repeat(64))
    const [first, ...rest] = early.rollouts
    const with2 = (rollout: Partial<Rollout>): AdvantagedGroup => ({
      ...early,
      rollouts: [...rest, { ...first, rollout: { ...first.rollout, ...rollout } }]
    })
    const mixed = Batch.pack(frame, [with2({ policyVersion: next }), other])
    expect(mixed.policyVersions).toEqual([arbitraries.policyVersion, next])
    expect(() => Batch.pack(frame, [with2({ temperature: 0.8 })])).toThrow(
      "rollouts of temperatures 1 and 0.8 cannot share a batch"
    )
  })

  test("hangs every rollout on its document, with anchors counted from the start of the trunk", () => {
    const { branches } = batch
    expect([branches.documents, branches.branches, branches.length, branches.tailLength]).toEqual([2, 3, 10, 2])
    expect(Array.from(branches.anchors)).toEqual([3, 3, 5, 2, 0, 0])
    expect(Array.from(branches.lengths)).toEqual([4, 3, 9, 3, 0, 0])
    expect(rowOf(branches.tokens, 0, 10).slice(0, 5)).toEqual([91, 92, 7, 0, 0])
    expect(rowOf(branches.tokens, 2, 10).slice(0, 10)).toEqual([91, 92, 0, 0, 9, 7, 7, 7, 7, 0])
  })

  test("masks by length, so that a completion token equal to the padding counts", () => {
    expect(rowOf(batch.branches.mask, 0, 10).slice(0, 6)).toEqual([0, 0, 1, 1, 0, 0])
    expect(rowOf(batch.branches.mask, 2, 10).slice(0, 10)).toEqual([0, 0, 1, 1, 1, 1, 1, 1, 1, 0])
    expect(batch.tokenCount).toBe(2 + 1 + 7 + 1)
    expect(batch.branches.mask.reduce((a, b) => a + b, 0)).toBe(batch.tokenCount)
  })

  test("puts log-probabilities at the token they belong to, and advantages at the row", () => {
    expect(rowOf(batch.behaviourLogprobs, 0, 10).slice(0, 4)).toEqual([0, 0, Math.fround(-0.8), Math.fround(-0.1)])
    expect(batch.behaviourLogprobs[2 * 10 + 4]).toBe(Math.fround(-1))
    expect(Array.from(batch.advantages)).toEqual([1, 2, 1, 1, 0, 0])
  })

  test("pads to given sizes and never cuts to them", () => {
    const padding = { multiple: 4, trunkLength: 11, branchLength: 3, branches: 5, documents: 3 }
    const { trunk, branches } = Batch.pack(frame, [early], padding)
    expect([trunk.documents, trunk.length, branches.documents, branches.branches, branches.length]).toEqual([
      3, 12, 3, 5, 6
    ])
    expect(Array.from(branches.lengths).slice(0, 6)).toEqual([4, 3, 0, 0, 0, 0])
  })

  test("refuses a rollout whose log-probabilities are not one per token, and a tail of no tokens", () => {
    const [rollout] = early.rollouts
    const short = {
      ...rollout,
      rollout: { ...rollout.rollout, behaviourLogprobs: behaviourLogprobs(new Float32Array(1)) }
    }
    expect(() => Batch.pack(frame, [{ ...early, rollouts: [short] }])).toThrow(
      "rollout a@2/0 has 2 completion tokens and 1 behaviour log-probabilities"
    )
    expect(() => Batch.pack({ ...frame, tail: new Int32Array(0) }, [early])).toThrow(/tail has no tokens/)
  })

  test("of no groups, or of groups that everyone left, has no tokens", () => {
    expect(Batch.pack(frame, []).tokenCount).toBe(0)
    const left = Batch.pack(frame, [{ ...early, rollouts: [], excluded: 2 }])
    expect([left.trunk.documents, left.branches.branches, left.tokenCount]).toEqual([1, 0, 0])
  })

  test("gives every rollout back, whatever the order, number and length of the groups", () => {
    const group = fc
      .record({
        document: fc.integer({ min: 0, max: 2 }),
        anchor: fc.integer({ min: 1, max: 5 }),
        completions: fc.array(fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 12 }), { maxLength: 4 })
      })
      .map(({ document, anchor, completions }) =>
        groupOf(problemAt(`d${document}`, [1, 2, 3, 4, 5, 6], anchor), ...completions)
      )
    fc.assert(
      fc.property(fc.array(group, { maxLength: 6 }), (groups) => {
        const { branches, trunk, advantages } = Batch.pack(frame, groups)
        expect((branches.length - branches.tailLength) % 8).toBe(0)
        const unpacked = Array.from(branches.lengths, (length, row) => ({
          document: Math.floor(row / branches.branches),
          anchor: branches.anchors[row],
          advantage: advantages[row],
          tokens: rowOf(branches.tokens, row, branches.length).slice(branches.tailLength, length),
          isBranch: length > 0
        })).filter(({ isBranch }) => isBranch)
        const ids = [...new Set(groups.map(({ problem }) => problem.document.id))]
        const expected = ids.flatMap((id, document) =>
          groups
            .filter(({ problem }) => problem.document.id === id)
            .flatMap(({ problem, rollouts }) =>
              rollouts.map(({ rollout, advantage }) => ({
                document,
                anchor: problem.anchor + 1,
                advantage,
                tokens: Array.from(rollout.completion.tokens),
                isBranch: true
              }))
            )
        )
        expect(unpacked).toEqual(expected)
        expect(unpacked.every(({ document, anchor }) => anchor <= trunk.lengths[document])).toBe(true)
      })
    )
  })

  test("for sampling is the bare tails with room for the completions, for scoring the bare trunk", () => {
    const bare = Batch.packBranches(frame, [[{ anchor: 2, completion: new Int32Array(0) }]], { branchLength: 2 + 30 })
    expect([bare.length, bare.mask.some((m) => m > 0), bare.lengths[0]]).toEqual([32, false, 2])
    const trunk = Batch.packTrunk(frame.head, [early.problem.document])
    expect(Array.from(trunk.tokens)).toEqual([90, 1, 2, 3, 4, 5, 0, 0])
  })
})
