import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { audit, groupsOf, live, stepsOf } from "../../src/run/Ledger.ts"
import type { LedgerRecord } from "../../src/run/Ledger.ts"
import { runRecords, shapes, stepRecords, versionOf } from "./ledgerFixtures.ts"

const rulesOf = (records: ReadonlyArray<LedgerRecord>) => new Set(audit(records).violations.map(({ rule }) => rule))

describe("the audit of a ledger", () => {
  it("finds nothing in a run that lost and doubled nothing, and counts what was there", () => {
    fc.assert(
      fc.property(shapes, (shape) => {
        const { steps, unitsPerStep, problemsPerUnit, groupSize, skipped = [], aside = [] } = shape
        const units = steps * unitsPerStep
        const problems = units * problemsPerUnit
        const setAside = aside.filter((unit) => unit < units).length * problemsPerUnit
        const judged = problems - setAside
        expect(audit(runRecords(shape))).toEqual({
          violations: [],
          problems,
          aside: setAside,
          rollouts: judged * groupSize,
          verdicts: judged * groupSize,
          updates: steps - skipped.filter((step) => step <= steps).length,
          unfinished: 0,
          lost: 0,
          oldest: 0
        })
      })
    )
  })

  it("finds any one record that is lost, unless nothing depends on it", () => {
    fc.assert(
      fc.property(shapes, fc.nat(), (shape, at) => {
        const records = runRecords(shape)
        const lost = records[at % records.length]
        const left = records.toSpliced(at % records.length, 1)
        // A checkpoint or the end may be missing: a run that dies has none.
        if (lost._tag === "checkpoint" || lost._tag === "ended") expect(audit(left).violations).toEqual([])
        else expect(audit(left).violations).not.toEqual([])
      }),
      { numRuns: 400 }
    )
  })

  it("finds any one record that is there twice, near or far", () => {
    fc.assert(
      fc.property(shapes, fc.nat(), fc.nat(), (shape, at, to) => {
        const records = runRecords(shape)
        const from = at % records.length
        const doubled = records[from]
        const place = from + 1 + (to % (records.length - from))
        const twice = records.toSpliced(place, 0, doubled)
        // Tokens may be said again, and a checkpoint as long as its policy is the latest.
        if (doubled._tag === "document" && place < records.length) expect(audit(twice).violations).toEqual([])
        else if (doubled._tag === "checkpoint") return
        else expect(audit(twice).violations).not.toEqual([])
      }),
      { numRuns: 400 }
    )
  })

  it("finds two neighbours of different steps in the wrong order", () => {
    fc.assert(
      fc.property(shapes, (shape) => {
        const records = runRecords({ ...shape, steps: shape.steps + 1, skipped: [] })
        const updates = records.flatMap((record, i) => (record._tag === "update" ? [i] : []))
        const swapped = records.with(updates[0], records[updates[1]]).with(updates[1], records[updates[0]])
        expect(rulesOf(swapped)).toContain("steps in order")
      })
    )
  })

  it("finds the bugs that lose runs, each by the rule it breaks", () => {
    const shape = { steps: 2, unitsPerStep: 2, problemsPerUnit: 2, groupSize: 2 }
    const records = runRecords(shape)
    const idsOf = (unit: number) =>
      records.flatMap((record) => (record._tag === "problem" && record.unit === unit ? [record.id] : []))
    const changed = (change: (record: LedgerRecord) => LedgerRecord) => rulesOf(records.map(change))
    const planted = {
      "a step trained on the batch of another": changed((record) =>
        record._tag === "batch" && record.step === 2 ? { ...record, rollouts: record.rollouts.toReversed() } : record
      ),
      "a sampler served weights that never were": changed((record) =>
        record._tag === "rollout" && record.step === 2 ? { ...record, policy: versionOf(77) } : record
      ),
      "the version went on before the update": changed((record) =>
        record._tag === "update" && record.step === 2 ? { ...record, from: versionOf(7) } : record
      ),
      "the optimizer counted an update it did not make": changed((record) =>
        record._tag === "update" && record.step === 2 ? { ...record, updates: 3 } : record
      ),
      "a checkpoint of other weights": changed((record) =>
        record._tag === "checkpoint" && record.step === 2 ? { ...record, policy: versionOf(1) } : record
      ),
      "a retry that doubled a unit under new ids": rulesOf([
        ...records.slice(0, -1),
        ...records
          .filter((record) => record._tag === "problem")
          .map((problem) => ({ ...problem, id: `${problem.id}'` }))
      ]),
      "a buffer that dropped a group in silence": changed((record) =>
        record._tag === "batch" ? { ...record, unused: [] } : record
      ),
      "a unit that was set aside and learned from all the same": rulesOf([
        ...records.slice(
          0,
          records.findIndex(({ _tag }) => _tag === "batch")
        ),
        { _tag: "aside", step: 1, unit: 0, problems: idsOf(0), during: "sampling", cause: "it crashed" },
        ...records.slice(records.findIndex(({ _tag }) => _tag === "batch"))
      ]),
      "a unit of which a part was set aside": rulesOf(
        runRecords({ ...shape, aside: [1] }).map((record) =>
          record._tag === "aside" ? { ...record, problems: record.problems.slice(1) } : record
        )
      ),
      "a unit of the stream that nobody took": rulesOf(
        records.map((record) =>
          record._tag === "problem" && record.unit > 0 ? { ...record, unit: record.unit + 1 } : record
        )
      )
    }
    expect(planted).toEqual({
      "a step trained on the batch of another": new Set(["nothing missing"]),
      "a sampler served weights that never were": new Set(["known reference"]),
      "the version went on before the update": new Set(["versions in order"]),
      "the optimizer counted an update it did not make": new Set(["versions in order"]),
      "a checkpoint of other weights": new Set(["versions in order"]),
      "a retry that doubled a unit under new ids": new Set(["unique id"]),
      "a buffer that dropped a group in silence": new Set(["one batch a problem"]),
      "a unit that was set aside and learned from all the same": new Set(["one batch a problem"]),
      "a unit of which a part was set aside": new Set(["nothing missing", "one batch a problem"]),
      "a unit of the stream that nobody took": new Set(["nothing missing"])
    })
  })

  it("lets a run die anywhere, and knows how many problems it left open", () => {
    fc.assert(
      fc.property(shapes, fc.nat(), (shape, at) => {
        const records = runRecords(shape)
        const left = records.slice(0, 1 + (at % (records.length - 1)))
        const { violations, problems, unfinished } = audit(left)
        expect(violations).toEqual([])
        const consumed = left.flatMap((record) => {
          if (record._tag === "aside") return record.problems
          return record._tag === "batch" ? [...record.problems, ...record.unused] : []
        })
        expect(unfinished).toBe(problems - consumed.length)
      })
    )
  })

  it("says how far behind the policies of the rollouts were", () => {
    const shape = { steps: 3, unitsPerStep: 3, problemsPerUnit: 1, groupSize: 1 }
    const lagged = runRecords(shape).map((record) =>
      record._tag === "rollout" ? { ...record, policy: versionOf(Math.max(0, record.step - 3)) } : record
    )
    expect(audit(lagged)).toMatchObject({ violations: [], oldest: 2 })
  })
})

describe("what of a ledger counts", () => {
  const shape = { steps: 3, unitsPerStep: 2, problemsPerUnit: 2, groupSize: 2 }

  it("is the undisturbed run, wherever it died and to whichever step it went back", () => {
    fc.assert(
      fc.property(fc.array(fc.record({ died: fc.nat(), back: fc.nat() }), { maxLength: 4 }), (deaths) => {
        const whole = runRecords(shape)
        let written: ReadonlyArray<LedgerRecord> = []
        let from = 0
        for (const { died, back } of deaths) {
          // It writes from where it went on, dies, and goes back to a step whose update it has written.
          const rest = whole.slice(from)
          written = [...written, ...rest.slice(0, 1 + (died % (rest.length - 1)))]
          const last = Math.max(0, ...live(written).map((record) => (record._tag === "update" ? record.step : 0)))
          const step = back % (last + 1)
          written = [...written, { _tag: "resumed", step, policy: versionOf(step) }]
          from = whole.findIndex((record) => "step" in record && record.step > step)
        }
        written = [...written, ...whole.slice(from)]
        const counting = live(written).filter(({ _tag }) => _tag !== "resumed")
        // A checkpoint of the step that was gone back to may have died before it was said.
        const important = (records: ReadonlyArray<LedgerRecord>) => records.filter(({ _tag }) => _tag !== "checkpoint")
        expect(important(counting)).toEqual(important(whole))
        expect(audit(live(written)).violations).toEqual([])
      })
    )
  })

  it("does not hide a doubling: records that nobody made void are there twice", () => {
    const records = [...runRecords(shape).slice(0, -1), ...stepRecords(3, 2, shape)]
    expect(audit(live(records)).violations).not.toEqual([])
  })
})

describe("the steps of a ledger", () => {
  it("have every record of theirs once, and make groups of what was sampled", () => {
    fc.assert(
      fc.property(shapes, (shape) => {
        const records = runRecords(shape)
        const steps = stepsOf(records)
        expect(steps.map(({ step }) => step)).toEqual(Array.from({ length: shape.steps }, (_, i) => i + 1))
        for (const step of steps) {
          const groups = groupsOf(step)
          const aside = new Set(step.aside.flatMap(({ problems }) => problems))
          const judged = step.problems.filter(({ id }) => !aside.has(id))
          expect(groups.map(({ problem }) => problem.id)).toEqual(judged.map(({ id }) => id))
          for (const { problem, rollouts } of groups) {
            expect(rollouts.map(({ id }) => id)).toEqual(rollouts.map((_, index) => `${problem.id}/${index}`))
            expect(rollouts).toHaveLength(shape.groupSize)
            expect(problem.document.tokens[0]).toBe(step.problems.find(({ id }) => id === problem.id)?.unit)
          }
        }
      })
    )
  })
})
