import { Corpus, Exploits, Reward, Synthetic, Template, Tokenizer } from "@foretoken/core"
import { laws } from "@foretoken/core/testing"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { InputError, UsageError } from "../failure.ts"
import { makeProgress } from "../Progress.ts"
import type { ChosenReward } from "../reward.ts"
import { openReward } from "../reward.ts"
import { type ExploitFound, type Lawfulness, certificateOf, readable } from "../rewardFindings.ts"
import type { Findings } from "../rewardFindings.ts"
import { templateOf } from "../training/template.ts"

export { complaint, show } from "../rewardFindings.ts"

interface Input {
  readonly reward: string
  readonly corpus: string
  readonly field: string
  readonly model: string | undefined
  readonly template: "boxed" | "compact" | undefined
  readonly seed: number
  readonly cases: number
  readonly positions: number
  readonly mutations: number
  readonly maxTokens: number
  readonly certificate: string | undefined
}

export const run = (input: Input): Effect.Effect<Findings, Error, Scope.Scope> =>
  Effect.gen(function* () {
    const chosen = yield* openReward(input.reward)
    const text = yield* openText(input)
    const lawful = yield* examine(chosen, input)
    const search = yield* searched(chosen, text, input, lawful)
    const path = input.certificate ?? besideOf(chosen)
    const found: Findings = { reward: chosen.reward.name, certificate: path ?? null, laws: lawful, search }
    if (path !== undefined) yield* Reward.writeCertificate(path, certificateOf(found, chosen.sourceHash))
    return found
  })

const besideOf = ({ source }: ChosenReward): string | undefined =>
  source._tag === "File" ? Reward.certificatePath(source.path) : undefined

/** The text to search on, and what can be said about it. */
const openText = Effect.fnUntraced(function* (input: Input) {
  const { corpus: name, field, model, seed, positions, maxTokens } = input
  if (model === undefined && name !== "dials") {
    const message = `--corpus ${name} needs --model DIR, whose tokenizer.json cuts the text into tokens`
    return yield* new UsageError({ message })
  }
  const corpus = yield* Corpus.open(name, { field })
  const tokenizer = model === undefined ? Synthetic.tokenizer : yield* Tokenizer.load(model)
  const text = yield* Exploits.readText(corpus, tokenizer, { seed, positions })
  const voice = yield* Effect.try({
    try: () =>
      Exploits.makeVoice(templateOf(input.template, tokenizer), tokenizer, Exploits.fitNgram(text.fitted), maxTokens),
    catch: (cause) => new InputError({ message: cause instanceof Error ? cause.message : String(cause) })
  })
  return { corpus, text, voice }
})

type Text = Effect.Success<ReturnType<typeof openText>>

/** Holds the reward to its laws, one after the other. One that hangs is asked no more: every case would take its time. */
const examine = Effect.fnUntraced(function* ({ reward }: ChosenReward, { cases, seed, template }: Input) {
  const form = template === "compact" ? Template.compact : Template.boxed
  const all = laws.reward(reward, { runs: cases, seed, template: form })
  const progress = yield* makeProgress({ title: "laws", unit: "laws", total: all.length })
  const broken: Array<Lawfulness["broken"][number]> = []
  const passed: Array<string> = []
  for (const [i, { name, check }] of all.entries()) {
    const report = yield* Effect.promise(() =>
      check().then(
        () => undefined,
        (cause: unknown) => (cause instanceof Error ? cause.message : String(cause))
      )
    )
    if (report === undefined) passed.push(name)
    else broken.push({ law: name, report })
    yield* progress.update(i + 1)
    if (report !== undefined && hangs(report)) break
  }
  return { template: form.name, runs: cases, seed, passed, broken } satisfies Lawfulness
})

const hangs = (report: string): boolean => report.includes("gave no answer within")

const searched = Effect.fnUntraced(function* (
  { reward }: ChosenReward,
  { corpus, text, voice }: Text,
  { seed, mutations }: Input,
  { broken }: Lawfulness
): Effect.fn.Return<Findings["search"], never, Scope.Scope> {
  if (broken.some(({ report }) => hangs(report))) return { _tag: "Skipped", reason: "the reward hangs" }
  yield* makeProgress({ title: "looking for exploits", unit: "strategies", total: "unknown" })
  const report = yield* Effect.result(Exploits.findExploits(voice, reward, text.problems, { seed, mutations }))
  if (report._tag === "Failure") return { _tag: "Skipped", reason: report.failure.message }
  const { exploits, ...scores } = report.success
  return {
    _tag: "Searched",
    template: voice.template.name,
    tokenizer: voice.tokenizer.name,
    corpus: { name: corpus.name, hash: text.hash },
    seed,
    ...scores,
    exploits: exploits.map(({ examples, ...exploit }): ExploitFound => ({
      ...exploit,
      examples: examples.map((example) => readable(voice.tokenizer, example))
    }))
  }
})
