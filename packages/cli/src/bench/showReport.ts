import { table } from "../table.ts"
import type { Report, SlopeReport, StepReport } from "./Report.ts"
import type { Spread } from "./Spread.ts"

/** A report for people: a line of what ran on what, a table, and a few lines of numbers. */
export const showReport = (report: Report & { readonly model: string }): string => {
  const million = `${(report.parameters / 1e6).toFixed(1)} M parameters`
  const head = `${report.workload} on ${report.backend}: ${report.model} (${million}), median of ${report.steps} steps`
  if (report.workload === "slope") return `${head}\n\n${slopeTable(report)}`
  const rows = Object.entries<Spread>(report.phases).map(([phase, spread]) => row(phase, spread))
  const times = table(["phase", "ms", "min", "max"], [...rows, row("all", report.stepSeconds)])
  return [head, "", times, "", ...numbersOf(report)].join("\n")
}

const row = (name: string, { median, min, max }: Spread) => [name, milli(median), milli(min), milli(max)]

const numbersOf = (report: Exclude<Report, SlopeReport>): ReadonlyArray<string> => {
  const shares = Object.entries<number>(report.shareOfCeiling).map(([part, share]) => `${part} ${percent(share)}`)
  const lag = `timers late by at most ${report.timerLagMs.max.toFixed(1)} ms (p99 ${report.timerLagMs.p99.toFixed(1)})`
  return [
    ...("rolloutsPerSecond" in report ? [`${rate(report.rolloutsPerSecond)} rollouts/s`] : []),
    ...("decodeTokensPerSecond" in report ? [`${rate(report.decodeTokensPerSecond)} tokens/s decoded`] : []),
    ...("trainTokensPerSecond" in report ? [`${rate(report.trainTokensPerSecond)} tokens/s trained`] : []),
    `share of the matmul ceiling (${report.ceilingGflops.toFixed(0)} GFLOP/s): ${shares.join(", ")}`,
    ...(report.workload === "step" ? stepNumbers(report) : []),
    `${lag}, peak memory ${(report.rssBytes / 1e6).toFixed(0)} MB`
  ]
}

const stepNumbers = ({ paddingShare, messages, logprobGap, compileSeconds }: StepReport): ReadonlyArray<string> => [
  `padding ${percent(paddingShare)} of the rows trained, compilation ${compileSeconds.toFixed(1)} s once`,
  `${messages.microseconds.toFixed(2)} µs a message, ${messages.perStep} messages a step: ${percent(messages.shareOfStep)} of it`,
  `log-probabilities of sampler and learner differ by at most ${logprobGap.toExponential(1)}`
]

const slopeTable = ({ points, spread }: SlopeReport): string => {
  const rows = points.map(({ context, stepSeconds, secondsPerRollout }) => [
    String(context),
    ...stepSeconds.map(milli),
    milli(secondsPerRollout)
  ])
  const columns = ["context", "ms, G rollouts", "ms, 2 G rollouts", "ms per added rollout"]
  return `${table(columns, rows)}\n\ndearest over cheapest: ${percent(spread)} more`
}

const milli = (seconds: number): string => (seconds * 1000).toFixed(1)
const percent = (share: number): string => `${(share * 100).toFixed(share < 0.01 ? 3 : 1)} %`
const rate = (value: number): string => (value >= 100 ? value.toFixed(0) : value.toPrecision(3))
