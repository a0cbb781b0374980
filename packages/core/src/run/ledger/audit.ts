/**
 * Whether a ledger's records are those of a run that lost nothing and did nothing twice: every problem of an epoch asked
 * once, and then judged or set aside once, every rollout judged once, every verdict in at most one batch, one batch and one
 * update a step, versions one from the other. Records are those that `live` leaves.
 */
import type { LedgerRecord, RecordOf } from "./records.ts"

/** One rule that one record breaks. */
export interface Violation {
  readonly rule:
    | "begins once"
    | "unique id"
    | "nothing missing"
    | "known reference"
    | "one verdict a rollout"
    | "one batch a problem"
    | "steps in order"
    | "versions in order"
    | "nothing after the end"
  /** One line. */
  readonly message: string
}

export interface Audit {
  readonly violations: ReadonlyArray<Violation>
  readonly problems: number
  /** Problems of them that were set aside. */
  readonly aside: number
  readonly rollouts: number
  readonly verdicts: number
  readonly updates: number
  /** Problems of a step that was begun and has no batch yet: the run is under way, or ended without signal, or died. */
  readonly unfinished: number
  /** Steps whose records were damaged and are gone; a checkpoint was not, so that the run went on behind them. */
  readonly lost: number
  /** Updates between the policy of a rollout and the one that learned from it, at most. */
  readonly oldest: number
}

export const audit = (records: Iterable<LedgerRecord>): Audit => {
  const auditor = new Auditor()
  for (const record of records) auditor.see(record)
  return auditor.conclude()
}

/** A problem that was asked, and what is known of its rollouts. */
interface Asked {
  readonly step: number
  readonly rollouts: Map<number, string>
}

interface Made {
  readonly problem: string
  readonly policy: string
  /** One "Scored" or "Unscorable" each time it was judged. */
  readonly verdicts: Array<string>
}

class Auditor {
  readonly violations: Array<Violation> = []
  readonly documents = new Set<string>()
  readonly asked = new Map<string, Asked>()
  readonly made = new Map<string, Made>()
  /** Problems that no batch has had yet. */
  readonly open = new Map<string, Asked>()
  /** By unit: its step, the places that were seen, and how many it has. */
  readonly units = new Map<number, { readonly step: number; readonly of: number; readonly places: Set<number> }>()
  /** Number of updates of every policy that there was. */
  readonly policies = new Map<string, number>()
  begun: RecordOf<"begun"> | undefined
  ended: RecordOf<"ended"> | undefined
  policy = ""
  updates = 0
  step = 0
  batchOf = 0
  aside = 0
  verdicts = 0
  oldest = 0
  lost = 0
  /** Units that no record is missed of: from one on, up to another. */
  readonly unknown: Array<{ readonly from: number; readonly to: number }> = []

  broken(rule: Violation["rule"], message: string): void {
    this.violations.push({ rule, message })
  }

  require(holds: boolean, rule: Violation["rule"], message: () => string): void {
    if (!holds) this.broken(rule, message())
  }

  see(record: LedgerRecord): void {
    if (this.begun === undefined && record._tag !== "begun") this.broken("begins once", `a ${record._tag} comes first`)
    if (this.ended !== undefined) this.broken("nothing after the end", `a ${record._tag} follows the end`)
    switch (record._tag) {
      case "begun":
        return this.seeBegun(record)
      case "document":
        return void this.documents.add(record.id)
      case "problem":
        return this.seeProblem(record)
      case "rollout":
        return this.seeRollout(record)
      case "verdict":
        return this.seeVerdict(record)
      case "aside":
        return this.seeAside(record)
      case "batch":
        return this.seeBatch(record)
      case "update":
        return this.seeUpdate(record)
      case "checkpoint":
        return this.seeCheckpoint(record)
      case "resumed":
        return this.seeResumed(record)
      case "ended":
        this.ended = record
        return this.require(
          (record.step === this.step && record.policy === this.policy) ||
            record.how === "failed" ||
            record.how === "stopped",
          "versions in order",
          () => `the run ends at step ${record.step} with another policy than its last update made`
        )
    }
  }

  seeBegun(record: RecordOf<"begun">): void {
    this.require(this.begun === undefined, "begins once", () => "the run begins a second time")
    this.begun = record
    this.policy = record.policy
    this.policies.set(record.policy, 0)
  }

  seeProblem({ id, step, document, unit, place, of }: RecordOf<"problem">): void {
    this.require(!this.asked.has(id), "unique id", () => `problem ${id} is asked twice`)
    this.require(this.documents.has(document), "known reference", () => `problem ${id} is about an unknown document`)
    const asked: Asked = { step, rollouts: new Map() }
    this.asked.set(id, asked)
    this.open.set(id, asked)
    const own = this.units.get(unit) ?? { step, of, places: new Set() }
    this.require(
      own.of === of && own.step === step && place < of,
      "nothing missing",
      () => `problem ${id} does not fit unit ${unit}`
    )
    this.require(!own.places.has(place), "unique id", () => `place ${place} of unit ${unit} is taken twice`)
    own.places.add(place)
    this.units.set(unit, own)
  }

  seeRollout({ id, problem, index, policy, tokens, logprobs, step }: RecordOf<"rollout">): void {
    const asked = this.asked.get(problem)
    const size = this.begun?.groupSize ?? 0
    this.require(!this.made.has(id), "unique id", () => `rollout ${id} is made twice`)
    this.require(asked?.step === step, "known reference", () => `rollout ${id} answers no problem of step ${step}`)
    this.require(this.policies.has(policy), "known reference", () => `rollout ${id} has a policy that never was`)
    this.require(index >= 0 && index < size, "nothing missing", () => `rollout ${id} is none of a group of ${size}`)
    this.require(!asked?.rollouts.has(index), "unique id", () => `rollout ${index} of ${problem} is made twice`)
    this.require(tokens.length === logprobs.length, "nothing missing", () => `rollout ${id} lacks log-probabilities`)
    asked?.rollouts.set(index, id)
    this.made.set(id, { problem, policy, verdicts: [] })
  }

  seeVerdict({ rollout, verdict }: RecordOf<"verdict">): void {
    const made = this.made.get(rollout)
    this.require(made !== undefined, "known reference", () => `a verdict is about rollout ${rollout}, which is unknown`)
    made?.verdicts.push(verdict._tag)
    this.verdicts++
    this.require(made?.verdicts.length !== 2, "one verdict a rollout", () => `rollout ${rollout} is judged twice`)
  }

  seeAside({ step, unit, problems }: RecordOf<"aside">): void {
    const of = this.units.get(unit)?.of ?? 0
    this.require(problems.length === of, "nothing missing", () => {
      return `unit ${unit} of ${of} problems is set aside with ${problems.length}`
    })
    this.aside += problems.length
    for (const id of problems) {
      const asked = this.asked.get(id)
      this.require(asked?.step === step, "known reference", () => `problem ${id} is set aside and none of step ${step}`)
      this.require(this.open.delete(id), "one batch a problem", () => `problem ${id} is consumed and set aside`)
      this.require(asked?.rollouts.size === 0, "one batch a problem", () => `problem ${id} is answered and set aside`)
    }
  }

  seeBatch({ step, problems, rollouts, advantages, unused }: RecordOf<"batch">): void {
    this.require(step === this.step + 1 && this.batchOf < step, "steps in order", () => {
      return `the batch of step ${step} follows step ${this.step}`
    })
    this.batchOf = Math.max(this.batchOf, step)
    this.require(rollouts.length === advantages.length, "nothing missing", () => `step ${step} lacks advantages`)
    for (const id of [...problems, ...unused]) this.seeConsumed(id, step)
    const scored = problems.flatMap((id) =>
      [...(this.asked.get(id)?.rollouts ?? [])]
        .toSorted(([a], [b]) => a - b)
        .flatMap(([, rollout]) => (this.made.get(rollout)?.verdicts.includes("Scored") ? [rollout] : []))
    )
    this.require(
      scored.length === rollouts.length && scored.every((id, i) => id === rollouts[i]),
      "nothing missing",
      () => `the batch of step ${step} does not have the scored rollouts of its problems, each once, in their order`
    )
    for (const id of rollouts) {
      const age = this.updates - (this.policies.get(this.made.get(id)?.policy ?? "") ?? this.updates)
      this.oldest = Math.max(this.oldest, age)
    }
  }

  /** A problem that a batch has, used or not: all of its group is there and judged, and no other batch has it. */
  seeConsumed(id: string, step: number): void {
    const asked = this.asked.get(id)
    if (asked === undefined) return this.broken("known reference", `step ${step} has problem ${id}, which is unknown`)
    this.require(asked.step === step, "known reference", () => `step ${step} has problem ${id} of step ${asked.step}`)
    this.require(this.open.delete(id), "one batch a problem", () => `problem ${id} is consumed twice`)
    const size = this.begun?.groupSize ?? 0
    this.require(asked.rollouts.size === size, "nothing missing", () => {
      return `problem ${id} has ${asked.rollouts.size} of ${size} rollouts`
    })
    for (const rollout of asked.rollouts.values()) {
      const judged = this.made.get(rollout)?.verdicts.length ?? 0
      this.require(judged > 0, "one verdict a rollout", () => `rollout ${rollout} has no verdict`)
    }
  }

  seeUpdate({ step, from, to, updates }: RecordOf<"update">): void {
    this.require(step === this.step + 1, "steps in order", () => `the update of step ${step} follows step ${this.step}`)
    this.require(this.batchOf === step, "steps in order", () => `the update of step ${step} has no batch`)
    this.require(
      from === this.policy,
      "versions in order",
      () => `step ${step} updates a policy that is not the latest`
    )
    const counted = updates - this.updates
    this.require(counted === 1 || (counted === 0 && to === from), "versions in order", () => {
      return `step ${step} counts ${updates} updates after ${this.updates}`
    })
    this.step = Math.max(this.step, step)
    this.policy = to
    this.updates = updates
    this.policies.set(to, updates)
    for (const [id, asked] of this.open) {
      if (asked.step > step) continue
      this.broken("one batch a problem", `problem ${id} was asked and never consumed`)
      this.open.delete(id)
    }
  }

  /** What is not known of steps that were lost is taken from the record; what they had begun and not ended is forgotten. */
  seeResumed({ step, policy, regained }: RecordOf<"resumed">): void {
    if (regained === undefined) return
    for (const [unit, own] of this.units) if (own.step > this.step) this.units.delete(unit)
    this.open.clear()
    this.unknown.push({ from: 1 + lastOf(this.units.keys()), to: regained.unit })
    this.lost += step - this.step
    for (const { version, updates } of regained.policies) {
      this.policies.set(version, updates)
      this.updates = updates
    }
    this.step = step
    this.batchOf = step
    this.policy = policy
  }

  seeCheckpoint({ step, policy }: RecordOf<"checkpoint">): void {
    this.require(step === this.step && policy === this.policy, "versions in order", () => {
      return `the checkpoint of step ${step} does not hold the policy of step ${this.step}`
    })
  }

  conclude(): Audit {
    this.require(this.begun !== undefined, "begins once", () => "nothing begins the run")
    // A step that a crash cut short may lack some of its units, and the last of them some of its records.
    const whole = new Map([...this.units].filter(([, { step }]) => step <= this.step))
    const last = lastOf(whole.keys())
    for (let unit = 0; unit <= last; unit++) {
      const own = whole.get(unit)
      if (own === undefined && this.unknown.some(({ from, to }) => from <= unit && unit < to)) continue
      this.require(own !== undefined, "nothing missing", () => `unit ${unit} of the problem stream is missing`)
      this.require(own === undefined || own.places.size === own.of, "nothing missing", () => {
        return `unit ${unit} has ${own?.places.size} of its ${own?.of} problems`
      })
    }
    const unfinished = this.open.size
    this.require(this.ended?.how !== "done" || unfinished === 0, "one batch a problem", () => {
      return `the run is done, and ${unfinished} problems were asked and never consumed`
    })
    return {
      violations: this.violations,
      problems: this.asked.size,
      aside: this.aside,
      rollouts: this.made.size,
      verdicts: this.verdicts,
      updates: this.updates,
      unfinished,
      lost: this.lost,
      oldest: this.oldest
    }
  }
}

const lastOf = (units: Iterable<number>): number => {
  let last = -1
  for (const unit of units) last = Math.max(last, unit)
  return last
}
