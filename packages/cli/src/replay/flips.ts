/** What another reward says of a stored run: which verdicts and advantages flip, with examples. */
import { Replay } from "@foretoken/core"
import type { Reward } from "@foretoken/core"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { makeProgress } from "../Progress.ts"
import { readableRollout, readableStanding, type ReadableStanding, textOf } from "./readable.ts"
import { contextOf, type StoredRun } from "./StoredRun.ts"
import { table } from "../table.ts"

interface Counts {
  readonly rollouts: number
  /** Rollouts with another verdict. */
  readonly verdicts: { readonly changed: number }
  /** Rollouts with another advantage, and with one of another sign. */
  readonly advantages: { readonly changed: number; readonly flipped: number }
  /** Mean reward of the scored rollouts. */
  readonly mean: { readonly before: number | null; readonly after: number | null }
}

export interface Rejudged extends Counts {
  readonly run: string
  readonly reward: string
  /** The reward that it was judged under now. */
  readonly under: string
  readonly flaw: string
  readonly groups: number
  readonly steps: ReadonlyArray<{ readonly step: number } & Counts>
  /** The largest changes of advantage first, flips of the sign before others. */
  readonly examples: ReadonlyArray<Example>
}

interface Example {
  readonly step: number
  readonly problem: string
  readonly rollout: number
  readonly context: string | null
  readonly truth: string
  readonly completion: string
  readonly prediction: string | null
  readonly before: ReadableStanding
  readonly after: ReadableStanding
}

/** One step under both rewards. */
interface Compared {
  readonly step: number
  readonly before: ReadonlyArray<Replay.ReplayedGroup>
  readonly after: ReadonlyArray<Replay.ReplayedGroup>
  readonly changes: ReadonlyArray<Replay.Change>
}

export const rejudged = (
  stored: StoredRun,
  reward: Reward.Reward<unknown>,
  examples: number
): Effect.Effect<Rejudged, never, Scope.Scope> =>
  Effect.gen(function* () {
    const progress = yield* makeProgress({ title: "judging", unit: "steps", total: stored.steps.length })
    const compared = yield* Effect.forEach(stored.steps, (step, i) =>
      Effect.gen(function* () {
        const before = Replay.recordedGroups(step, stored.template, stored.advantage)
        const after = yield* Effect.forEach(before, (group) => Replay.rejudge(group, reward, stored.advantage))
        yield* progress.update(i + 1)
        const changes = before.flatMap((group, g) => Replay.changes(group, after[g]))
        return { step: step.step, before, after, changes } satisfies Compared
      })
    )
    const largest = compared
      .flatMap(({ step, changes }) => changes.map((change) => ({ step, change })))
      .toSorted((a, b) => Number(b.change.push) - Number(a.change.push) || sizeOf(b.change) - sizeOf(a.change))
    return {
      run: stored.run,
      reward: stored.reward,
      under: reward.name,
      flaw: stored.flaw,
      groups: compared.reduce((sum, { before }) => sum + before.length, 0),
      ...countsOf(compared),
      steps: compared.map((one) => ({ step: one.step, ...countsOf([one]) })),
      examples: largest.slice(0, examples).map(({ step, change }) => exampleOf(stored, step, change))
    }
  })

const sizeOf = ({ before, after }: Replay.Change): number => Math.abs((before.advantage ?? 0) - (after.advantage ?? 0))

const countsOf = (compared: ReadonlyArray<Compared>): Counts => {
  const changes = compared.flatMap((one) => one.changes)
  const valuesOf = (groups: ReadonlyArray<Replay.ReplayedGroup>) =>
    groups
      .flatMap(({ rollouts }) => rollouts)
      .flatMap(({ standing: { verdict } }) => (verdict._tag === "Scored" ? [verdict.value] : []))
  const all = compared.flatMap(({ before }) => before)
  return {
    rollouts: all.reduce((sum, { rollouts }) => sum + rollouts.length, 0),
    verdicts: { changed: changes.filter(({ verdict }) => verdict).length },
    advantages: {
      changed: changes.filter((change) => sizeOf(change) > 1e-9 || change.push).length,
      flipped: changes.filter(({ push }) => push).length
    },
    mean: { before: mean(valuesOf(all)), after: mean(valuesOf(compared.flatMap(({ after }) => after))) }
  }
}

const mean = (xs: ReadonlyArray<number>): number | null =>
  xs.length === 0 ? null : xs.reduce((sum, x) => sum + x, 0) / xs.length

const exampleOf = (stored: StoredRun, step: number, { rollout, before, after }: Replay.Change): Example => {
  const { problem } = rollout.rollout
  const { index, completion, prediction } = readableRollout(rollout)
  return {
    step,
    problem: problem.id,
    rollout: index,
    context: contextOf(stored, problem),
    truth: textOf(problem.continuation.bytes),
    completion,
    prediction,
    before: readableStanding(before),
    after: readableStanding(after)
  }
}

export const showRejudged = (output: Rejudged): string => {
  const { reward, under, groups, rollouts, verdicts, advantages, steps, examples, flaw } = output
  const row = (name: string, { rollouts, verdicts, advantages, mean }: Counts) => [
    name,
    String(rollouts),
    mean.before?.toFixed(3) ?? "-",
    mean.after?.toFixed(3) ?? "-",
    String(verdicts.changed),
    String(advantages.changed),
    String(advantages.flipped)
  ]
  return [
    `${rollouts} rollouts in ${groups} groups, judged by ${reward} then and by ${under} now: ` +
      `${verdicts.changed} other verdicts, ${advantages.flipped} advantages of another sign (${advantages.changed} changed)`,
    "",
    table(
      ["step", "rollouts", "mean then", "mean now", "verdicts", "advantages", "flipped"],
      [...steps.map((one) => row(String(one.step), one)), row("all", output)]
    ),
    ...examples.flatMap(({ step, problem, rollout, context, truth, completion, before, after }) => [
      "",
      `step ${step}, ${problem}, rollout ${rollout}`,
      ...(context === null ? [] : [`  context     ${JSON.stringify(context)}`]),
      `  truth       ${JSON.stringify(truth)}`,
      `  completion  ${JSON.stringify(completion)}`,
      `  then        ${standing(before)}`,
      `  now         ${standing(after)}`
    ]),
    ...(flaw === "" ? [] : ["", `the ledger ends early: ${flaw}`])
  ].join("\n")
}

const standing = ({ value, unscorable, advantage }: ReadableStanding): string =>
  `${value === null ? `unscorable: ${unscorable ?? ""}` : `reward ${value}`}, ` +
  (advantage === null ? "left its group" : `advantage ${advantage.toFixed(3)}`)
