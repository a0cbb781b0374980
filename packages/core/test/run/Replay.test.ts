import { expect, test } from "vitest"
import { Effect } from "effect"
import * as fc from "fast-check"
import { boxed } from "../../src/prompt/Template.ts"
import * as Reward from "../../src/reward/index.ts"
import { drGrpo, grpo } from "../../src/rl/advantage.ts"
import { live, stepsOf } from "../../src/run/Ledger.ts"
import { changes, gradientShares, recordedGroups, rejudge } from "../../src/run/Replay.ts"
import { type RunShape, runRecords, shapes } from "./ledgerFixtures.ts"

const shape: RunShape = { steps: 2, unitsPerStep: 2, problemsPerUnit: 3, groupSize: 3 }
const steps = stepsOf(live(runRecords(shape)))
const recorded = steps.flatMap((step) => recordedGroups(step, boxed, drGrpo))

/** Rewards by place in the group, as the fixtures have them. */
const byIndex = (sign: number) => Reward.pure("index", ({ rollout }) => sign * rollout.index)

const under = (reward: Reward.Reward) =>
  Effect.runSync(Effect.forEach(recorded, (group) => rejudge(group, reward, drGrpo)))

test("a ledger gives back its groups with verdicts, in the order of the problem stream", () => {
  fc.assert(
    fc.property(shapes, (shape) => {
      const groups = stepsOf(live(runRecords(shape))).flatMap((step) => recordedGroups(step, boxed, grpo))
      const { steps, unitsPerStep, problemsPerUnit, aside = [] } = shape
      const judged = steps * unitsPerStep - aside.filter((unit) => unit < steps * unitsPerStep).length
      expect(groups).toHaveLength(judged * problemsPerUnit)
      for (const { group, rollouts } of groups) {
        expect(rollouts.map(({ rollout }) => rollout.index)).toEqual([...rollouts.keys()])
        expect(group.rollouts).toHaveLength(shape.groupSize)
        for (const { rollout, standing, prediction } of rollouts) {
          expect(prediction.outcome).toBe("truncated")
          const { verdict, advantage } = standing
          if (verdict._tag === "Scored") expect([verdict.value, typeof advantage]).toEqual([rollout.index, "number"])
          else expect([verdict.kind, verdict.reason, advantage]).toEqual(["timeout", "no answer", null])
        }
      }
    })
  )
})

test("a rollout's share of the gradient goes with advantage and length; what was not learned from has none", () => {
  const [step] = stepsOf(runRecords({ steps: 1, unitsPerStep: 2, problemsPerUnit: 1, groupSize: 2 }))
  const [batch] = step.batch
  const given = { ...batch, advantages: Float64Array.from(batch.rollouts, (_, i) => [1, -3, 0, 4][i]) }
  const lengths = [3, 1, 5, 0]
  const rollouts = new Map(
    [...step.rollouts].map(([id, own], problem) => [
      id,
      own.map((rollout, i) => ({ ...rollout, tokens: new Int32Array(lengths[2 * problem + i]) }))
    ])
  )
  expect(batch.rollouts.length).toBe(4)
  expect([...gradientShares({ ...step, batch: [given], rollouts }).values()]).toEqual([0.5, 0.5, 0, 0])
  expect(gradientShares({ ...step, batch: [] }).size).toBe(0)
})

test("what a batch learned from keeps the advantages it had, other groups get those they would have had", () => {
  const learned = new Set(steps.flatMap(({ batch }) => batch[0].problems))
  const whole = recorded.filter(({ rollouts }) => rollouts.every(({ standing }) => standing.advantage !== null))
  const advantagesOf = (isLearned: boolean) =>
    whole
      .filter(({ group }) => learned.has(group.problem.id) === isLearned)
      .map(({ rollouts }) => rollouts.map(({ standing }) => standing.advantage))
  expect(advantagesOf(true).length * advantagesOf(false).length).toBeGreaterThan(0)
  expect(advantagesOf(true)).toEqual(advantagesOf(true).map(() => [0.5, 0.5, 0.5]))
  expect(advantagesOf(false)).toEqual(advantagesOf(false).map(() => [-1, 0, 1]))
})

test("a group whose verdicts a crash cut off is left out", () => {
  const records = runRecords({ ...shape, steps: 1 })
  const lost = records.findLastIndex((record) => record._tag === "verdict")
  const [step] = stepsOf(live(records.toSpliced(lost, 1)))
  expect(recordedGroups(step, boxed, grpo)).toHaveLength(shape.unitsPerStep * shape.problemsPerUnit - 1)
})

test("nothing changes between a replay and itself, and all that can does under the contrary reward", () => {
  const same = under(byIndex(1))
  expect(same.flatMap((group) => changes(group, group))).toEqual([])
  const contrary = under(byIndex(-1))
  const found = same.flatMap((group, i) => changes(group, contrary[i]))
  // Of three rollouts the middle one has the same advantage, 0, and the first the same value, 0.
  expect(found).toHaveLength(same.length * 3)
  expect(found.filter(({ verdict }) => verdict)).toHaveLength(same.length * 2)
  expect(found.filter(({ push }) => push)).toHaveLength(same.length * 2)
})

test("a rollout that cannot be scored any more changes its verdict and leaves its group", () => {
  const picky = Reward.pure("picky", ({ rollout }) => (rollout.index === 0 ? NaN : rollout.index))
  const same = under(byIndex(1))
  const now = under(picky)
  const found = same.flatMap((group, i) => changes(group, now[i]))
  const left = found.filter(({ after }) => after.verdict._tag === "Unscorable")
  expect(left).toHaveLength(same.length)
  expect(left.every(({ verdict, after }) => verdict && after.advantage === null)).toBe(true)
})
