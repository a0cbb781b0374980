/** What `foretoken reward check` found: for people, as JSON, and as a certificate. */
import type { Exploits, Tokenizer } from "@foretoken/core"
import type { Reward } from "@foretoken/core"
import { table } from "./table.ts"
import { version } from "./version.ts"

export interface Findings {
  readonly reward: string
  /** Where the certificate was written; null: nowhere. */
  readonly certificate: string | null
  readonly laws: Lawfulness
  readonly search: Searched | { readonly _tag: "Skipped"; readonly reason: string }
}

export interface Lawfulness {
  readonly template: string
  readonly runs: number
  readonly seed: number
  readonly passed: ReadonlyArray<string>
  readonly broken: ReadonlyArray<{ readonly law: string; readonly report: string }>
}

interface Searched extends Omit<Exploits.ExploitReport, "exploits"> {
  readonly _tag: "Searched"
  readonly template: string
  readonly tokenizer: string
  readonly corpus: { readonly name: string; readonly hash: string }
  readonly seed: number
  readonly exploits: ReadonlyArray<ExploitFound>
}

export interface ExploitFound extends Exploits.StrategyScore {
  readonly examples: ReadonlyArray<ReadableExample>
}

interface ReadableExample {
  readonly problem: string
  /** The end of the context. */
  readonly context: string
  readonly completion: string
  readonly reward: number
  /** What the reference verifier says. */
  readonly reference: string
}

/** Tokens of context, and characters of a completion, that an example shows. */
const contextTokens = 24
const longestShown = 400

export const readable = (
  tokenizer: Tokenizer.Tokenizer,
  { problem, answer: { rollout, prediction }, reward }: Exploits.Example
): ReadableExample => {
  const { document, anchor, continuation } = problem
  const truth = JSON.stringify(tokenizer.text(document.tokens.subarray(anchor, anchor + 4)))
  const why =
    prediction.outcome !== "answered"
      ? `no prediction (${prediction.outcome})`
      : `${prediction.bytes.length} bytes that are no prefix of the truth on a token boundary`
  return {
    problem: problem.id,
    context: tokenizer.text(document.tokens.subarray(Math.max(0, anchor - contextTokens), anchor)),
    completion: cut(tokenizer.text(rollout.completion.tokens)),
    reward,
    reference: `wrong: ${why}; the text goes on ${truth}${continuation.boundaries.length > 4 ? " ..." : ""}`
  }
}

const cut = (text: string): string => {
  if (text.length <= longestShown) return text
  return `${text.slice(0, longestShown - 100)} [...] ${text.slice(-90)}`
}

export const certificateOf = ({ reward, laws, search }: Findings, sourceHash: string): Reward.Certificate => ({
  format: 1,
  foretoken: version,
  reward,
  sourceHash,
  laws: { ...laws, broken: laws.broken.map(({ law }) => law) },
  search:
    search._tag === "Skipped"
      ? search
      : {
          _tag: "Searched",
          template: search.template,
          tokenizer: search.tokenizer,
          corpus: search.corpus,
          seed: search.seed,
          positions: search.positions,
          tried: search.tried,
          honest: search.honest.reward,
          truth: search.truth.reward,
          best: { strategy: search.best.strategy, paidWhileWrong: search.best.paidWhileWrong },
          exploits: search.exploits.map(({ strategy, reward, gain, standardError }) => ({
            strategy,
            reward,
            gain,
            standardError
          }))
        }
})

/** Why the command ends with exit code 1; undefined where nothing is wrong. */
export const complaint = ({ reward, laws: { broken }, search }: Findings): string | undefined => {
  const parts = [
    ...(broken.length === 0 ? [] : [`breaks ${counted(broken.length, "law")}`]),
    ...(search._tag === "Skipped" ? [`was not searched for exploits (${search.reason})`] : []),
    ...(search._tag === "Searched" && search.exploits.length > 0
      ? [`pays ${counted(search.exploits.length, "strategy")} more for wrong answers than honest guessing earns`]
      : [])
  ]
  return parts.length === 0 ? undefined : `the reward ${reward} ${parts.join(", and ")}`
}

const counted = (n: number, what: "law" | "strategy"): string =>
  n === 1 ? `1 ${what}` : `${n} ${what === "law" ? "laws" : "strategies"}`

export const show = ({ laws, search, certificate }: Findings): string =>
  [
    ...laws.broken.flatMap(({ law, report }) => [`BROKEN  ${law}`, indented(report), ""]),
    `laws    ${laws.passed.length} hold, ${laws.broken.length} broken (${laws.runs} cases each, seed ${laws.seed})`,
    ...(search._tag === "Skipped" ? [`search  none: ${search.reason}`] : shownSearch(search)),
    ...(certificate === null ? [] : ["", `certificate  ${certificate}`])
  ].join("\n")

/** How many exploits are shown with examples. */
const exploitsShown = 3

const shownSearch = (search: Searched): ReadonlyArray<string> => {
  const { honest, truth, best, exploits, corpus, positions, tried, tokenizer, template } = search
  const row = (what: string, score: Exploits.StrategyScore) =>
    [what, score.reward, score.accuracy, score.paidWhileWrong, score.gain].map((cell) =>
      typeof cell === "number" ? cell.toFixed(3) : cell
    )
  const scores = table(
    ["", "reward", "right", "paid while wrong", "gain"],
    [
      row(`honest: ${honest.strategy}`, honest),
      row("truth", truth),
      row(`best paid: ${best.strategy}`, best),
      ...exploits.map((exploit) => row(`EXPLOIT: ${exploit.strategy}`, exploit))
    ]
  )
  const blind = best.paidWhileWrong >= 0.95 * truth.reward && exploits.length === 0
  return [
    `search  ${counted(tried, "strategy")} at ${positions} positions of ${corpus.name} (${tokenizer}, ${template}): ` +
      (exploits.length === 0 ? "no exploit above honest guessing" : `${exploits.length} exploits`),
    "",
    scores,
    ...(blind
      ? ["", "note: wrong answers can earn as much as the truth; this reward alone does not tell them apart"]
      : []),
    ...exploits.slice(0, exploitsShown).flatMap(shownExploit)
  ]
}

const shownExploit = ({ strategy, pieces, gain, standardError, examples }: ExploitFound): ReadonlyArray<string> => [
  "",
  `EXPLOIT  ${strategy}: ${gain.toFixed(3)} (standard error ${standardError.toFixed(3)}) above honest guessing`,
  `  writes      ${pieces}`,
  ...examples
    .slice(0, 1)
    .flatMap(({ problem, context, completion, reward, reference }) => [
      `  problem     ${problem}`,
      `  context     ${JSON.stringify(context)}`,
      `  completion  ${JSON.stringify(completion)}`,
      `  reward      ${reward}`,
      `  reference   ${reference}`
    ])
]

const indented = (text: string): string => text.replaceAll(/^(?=.)/gm, "  ")
