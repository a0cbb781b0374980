import * as fc from "fast-check"
import { outcomes } from "../../src/prompt/Prediction.ts"
import { PolicyVersion } from "../../src/rl/Rollout.ts"
import type { LedgerRecord, RecordOf } from "../../src/run/Ledger.ts"

/** The policy that `updates` updates have made. */
export const versionOf = (updates: number) => PolicyVersion.make(updates.toString(16).padStart(64, "0"))

export interface RunShape {
  readonly steps: number
  readonly unitsPerStep: number
  readonly problemsPerUnit: number
  readonly groupSize: number
  /** Steps whose update is skipped. */
  readonly skipped?: ReadonlyArray<number>
  /** Units that are set aside. */
  readonly aside?: ReadonlyArray<number>
}

/** The records of one step as a run writes them; every third problem is not learned from, every fifth rollout not scored. */
export const stepRecords = (step: number, updates: number, shape: RunShape): ReadonlyArray<LedgerRecord> => {
  const { unitsPerStep, problemsPerUnit, groupSize, skipped = [], aside = [] } = shape
  const records: Array<LedgerRecord> = []
  const batch = { problems: Array<string>(), rollouts: Array<string>(), unused: Array<string>() }
  for (let u = 0; u < unitsPerStep; u++) {
    const unit = (step - 1) * unitsPerStep + u
    const document = `text:${unit}`
    records.push({ _tag: "document", step, id: document, tokens: Int32Array.of(unit, 1, 2, 3) })
    const problems = Array.from({ length: problemsPerUnit }, (_, place): RecordOf<"problem"> => {
      const continuation = { bytes: Uint8Array.of(104, 105), boundaries: [1, 2] }
      const where = { unit, place, of: problemsPerUnit }
      return {
        _tag: "problem",
        step,
        id: `0/${document}@${place + 1}`,
        epoch: 0,
        document,
        anchor: place + 1,
        continuation,
        ...where
      }
    })
    records.push(...problems)
    if (aside.includes(unit)) {
      const ids = problems.map(({ id }) => id)
      records.push({ _tag: "aside", step, unit, problems: ids, during: "sampling", cause: "it crashed" })
      continue
    }
    for (const { id: problem, place } of problems) {
      const isUsed = (unit + place) % 3 !== 2
      batch[isUsed ? "problems" : "unused"].push(problem)
      for (let index = 0; index < groupSize; index++) {
        const id = `${problem}/${index}`
        const scored = (unit + place + index) % 5 !== 4
        if (isUsed && scored) batch.rollouts.push(id)
        records.push(
          {
            _tag: "rollout",
            step,
            id,
            problem,
            index,
            policy: versionOf(updates),
            temperature: 0.8,
            tokens: Int32Array.of(5, 6, 7),
            ended: "stop",
            logprobs: Float32Array.of(-1, -2, -0.5),
            bytes: Uint8Array.of(255, 0, 1)
          },
          {
            _tag: "verdict",
            step,
            rollout: id,
            outcome: "answered",
            verdict: scored
              ? { _tag: "Scored", value: index, parts: { match: index } }
              : { _tag: "Unscorable", kind: "timeout", reason: "no answer" }
          }
        )
      }
    }
  }
  const made = skipped.includes(step) ? updates : updates + 1
  const advantages = new Float64Array(batch.rollouts.length).fill(0.5)
  return [
    ...records,
    { _tag: "batch", step, ...batch, advantages },
    { _tag: "update", step, from: versionOf(updates), to: versionOf(made), updates: made, metrics: { loss: 1 / 3 } },
    { _tag: "checkpoint", step, name: String(step), policy: versionOf(made), files: { "state.json": "0".repeat(64) } }
  ]
}

/** A run from its beginning to its end. */
export const runRecords = (shape: RunShape): ReadonlyArray<LedgerRecord> => {
  const records: Array<LedgerRecord> = [
    { _tag: "begun", manifest: "f".repeat(64), policy: versionOf(0), groupSize: shape.groupSize }
  ]
  let updates = 0
  for (let step = 1; step <= shape.steps; step++) {
    records.push(...stepRecords(step, updates, shape))
    if (!shape.skipped?.includes(step)) updates++
  }
  const { steps: step } = shape
  return [...records, { _tag: "ended", step, policy: versionOf(updates), how: "done", reason: "all steps were made" }]
}

export const shapes: fc.Arbitrary<RunShape> = fc.record({
  steps: fc.integer({ min: 1, max: 4 }),
  unitsPerStep: fc.integer({ min: 1, max: 3 }),
  problemsPerUnit: fc.integer({ min: 1, max: 3 }),
  groupSize: fc.integer({ min: 1, max: 3 }),
  skipped: fc.subarray([1, 2, 3, 4]),
  aside: fc.subarray([0, 1, 4])
})

const text = fc.string({ unit: "binary" }).filter((value) => value.isWellFormed())
const step = fc.nat({ max: 2 ** 31 })
const policy = fc.nat().map(versionOf)
const bytes = fc.uint8Array()
const name = text.filter((key) => key !== "__proto__")
const tag = <Tag extends string>(value: Tag) => fc.constant(value)

/** Any record there can be, whether or not it makes sense in a run. */
export const anyRecord: fc.Arbitrary<LedgerRecord> = fc.oneof(
  fc.record({ _tag: tag("begun"), manifest: text, policy, groupSize: fc.nat() }),
  fc.record({ _tag: tag("document"), step, id: text, tokens: fc.int32Array() }),
  fc.record({
    _tag: tag("problem"),
    step,
    id: text,
    epoch: fc.nat(),
    document: text,
    anchor: fc.nat(),
    continuation: fc.record({ bytes, boundaries: fc.array(fc.nat()) }),
    unit: fc.nat(),
    place: fc.nat(),
    of: fc.nat()
  }),
  fc.record({
    _tag: tag("rollout"),
    step,
    id: text,
    problem: text,
    index: fc.nat(),
    policy,
    temperature: fc.double({ min: 0, minExcluded: true }),
    tokens: fc.int32Array(),
    ended: fc.constantFrom("stop", "length"),
    // From bits, so that payloads of NaN are there too.
    logprobs: fc.int32Array().map((bits) => new Float32Array(Int32Array.from(bits).buffer)),
    bytes
  }),
  fc.record({
    _tag: tag("verdict"),
    step,
    rollout: text,
    outcome: fc.constantFrom(...outcomes),
    verdict: fc.oneof(
      fc.record({
        _tag: tag("Scored"),
        value: fc.double(),
        parts: fc.dictionary(name, fc.double(), { noNullPrototype: true })
      }),
      fc.record({ _tag: tag("Unscorable"), kind: text, reason: text })
    )
  }),
  fc.record({
    _tag: tag("aside"),
    step,
    unit: fc.nat(),
    problems: fc.array(text),
    during: fc.constantFrom("sampling", "verifying"),
    cause: text
  }),
  fc.record({
    _tag: tag("batch"),
    step,
    problems: fc.array(text),
    rollouts: fc.array(text),
    advantages: fc.float64Array().map((values) => Float64Array.from(values)),
    unused: fc.array(text)
  }),
  fc.record({
    _tag: tag("update"),
    step,
    from: policy,
    to: policy,
    updates: fc.nat(),
    metrics: fc.dictionary(
      name,
      fc.double().map((value) => value + 0),
      { noNullPrototype: true }
    )
  }),
  fc.record({
    _tag: tag("checkpoint"),
    step,
    name: text,
    policy,
    files: fc.dictionary(name, text, { noNullPrototype: true })
  }),
  fc.record(
    {
      _tag: tag("resumed"),
      step,
      policy,
      differs: fc.array(text),
      regained: fc.record({ unit: fc.nat(), policies: fc.array(fc.record({ version: policy, updates: fc.nat() })) })
    },
    { requiredKeys: ["_tag", "step", "policy"] }
  ),
  fc.record({
    _tag: tag("ended"),
    step,
    policy,
    how: fc.constantFrom("done", "no-signal", "stopped", "failed"),
    reason: text
  })
)
