import { Evaluation, Template } from "@foretoken/core"
import type { Evaluator } from "@foretoken/core"
import { table } from "../table.ts"
import { hard, whole } from "./heldOut.ts"
import type { Arm, Told } from "./story.ts"

/** Accuracy with its 95 % interval over documents, and the positions behind it. */
export interface Accuracy {
  readonly estimate: number
  readonly low: number
  readonly high: number
  readonly count: number
}

export interface ArmReport {
  readonly name: string
  readonly how: Arm["how"]
  readonly seconds: number
  /** By the name of a column. */
  readonly accuracy: Readonly<Record<string, Accuracy>>
}

/** What `npm start` found, as data. */
export interface StoryReport {
  readonly backend: string
  readonly seed: number
  readonly arms: ReadonlyArray<ArmReport>
  readonly curve: Told["curve"]
  readonly sample: { readonly context: string; readonly truth: string; readonly before: string; readonly after: string }
  readonly run: string
  readonly weightsHash: string
  readonly seconds: number
}

const bootstrap = { resamples: 1000, level: 0.95 } as const

export const reportOf = (told: Told): StoryReport => ({
  backend: told.backend,
  seed: told.context.seed,
  arms: told.arms.map((arm) => armReport(arm, told.context.seed)),
  curve: told.curve,
  sample: sampleOf(told),
  run: told.rpt.run,
  weightsHash: told.rpt.best.weightsHash,
  seconds: told.seconds
})

const armReport = ({ name, how, seconds, records }: Arm, seed: number): ArmReport => {
  const settings = { seed, ...bootstrap }
  const tagged = Evaluation.accuracyTable(records, settings).tags
  const ofWhole = records.filter(({ tags }) => tags.includes(whole))
  const ofHard = records.filter(({ tags }) => tags.includes(hard))
  const text = Evaluation.accuracyTable(ofWhole, settings)
  // Positions above 1.5 nats are asked in all documents, the others in those that are asked as a whole.
  const [hardest] = Evaluation.accuracyTable(ofHard, settings, [1.5]).nested
  const byEntropy = [...text.nested, ...text.disjoint].filter(({ name }) => name !== hardest.name)
  const rows = [...tagged.filter((row) => row.name.startsWith("computed")), ...byEntropy, hardest]
  const accuracy = rows.map(({ name, estimate, low, high, count }): [string, Accuracy] => [
    name,
    { estimate, low, high, count }
  ])
  return { name, how, seconds, accuracy: Object.fromEntries(accuracy) }
}

/** A position that was wrong before and right after, with the most moves; any other where there is none. */
const sampleOf = ({ before, after, context }: Told): StoryReport["sample"] => {
  const moves = ({ tags }: Evaluator.ReasonedRecord) => Number(/\d+/.exec(tags.join(" "))?.[0] ?? 0)
  const learned = after.map((record, i) => (record.correct && !before[i].correct ? moves(record) : -1))
  const chosen = learned.indexOf(Math.max(...learned))
  const { problem } = after[chosen].position
  const { tokenizer, template } = context
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes)
  const said = ({ completion }: Evaluator.ReasonedRecord) => {
    const prediction = Template.parse(template, completion)
    const answer = prediction.outcome === "answered" ? `answers “${text(prediction.bytes)}”` : `(${prediction.outcome})`
    return `thinks “${text(Template.thought(template, completion))}”, ${answer}`
  }
  return {
    context: tokenizer.text(problem.document.tokens.subarray(0, problem.anchor)),
    truth: text(problem.continuation.bytes.subarray(0, problem.continuation.boundaries[0])),
    before: said(before[chosen]),
    after: said(after[chosen])
  }
}

const computedColumns = [
  "computed",
  "computed, 1 moves",
  "computed, 2 moves",
  "computed, 3 moves",
  "computed, 4 moves",
  "computed, 5 moves"
]

/** The report for people. */
export const show = (report: StoryReport): string => {
  const { arms, sample, curve } = report
  const names = Object.keys(arms[0].accuracy)
  const nested = names.filter((name) => name.startsWith("entropy > "))
  const disjoint = names.filter((name) => !name.startsWith("computed") && !nested.includes(name))
  const section = (title: string, columns: ReadonlyArray<string>) => `${title}\n${armTable(arms, columns)}`
  return [
    `Next-token accuracy on held-out documents, 95 % intervals over documents (${report.backend}, seed ${report.seed})`,
    section("Tokens that take hidden computation, all and by the number of moves", computedColumns),
    section("All tokens by entropy under the base model (nats), nested as in the paper", nested),
    section("The same, disjoint", [...new Set([...disjoint, ...nested.slice(-1)])]),
    `Validation during reinforcement (reasoned, computed tokens): ${curve
      .map(({ step, accuracy }) => `${step}: ${accuracy.toFixed(3)}`)
      .join("  ")}`,
    `A held-out text: ${sample.context} …\n  it goes on:  “${sample.truth}”\n  before RPT:  ${sample.before}\n  after RPT:   ${sample.after}`,
    `The run lies in ${report.run} (weights ${report.weightsHash.slice(0, 12)}); the whole story took ${Math.round(report.seconds)} s.`
  ].join("\n\n")
}

const armTable = (arms: ReadonlyArray<ArmReport>, columns: ReadonlyArray<string>): string =>
  table(
    ["", "", "time", ...columns.map((column) => column.replace("computed, ", ""))],
    arms.map(({ name, how, seconds, accuracy }) => [
      name,
      how,
      `${Math.round(seconds)} s`,
      ...columns.map((column) => (accuracy[column] === undefined ? "–" : cell(accuracy[column])))
    ])
  )

const cell = ({ estimate, low, high }: Accuracy): string =>
  Number.isNaN(estimate) ? "–" : `${share(estimate)} [${share(low)},${share(high)}]`

const share = (x: number): string => x.toFixed(3).replace(/^0/, "")
