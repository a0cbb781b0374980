import { Corpus, Exploits, loadTokenizer, Reward, Synthetic, Template } from "@foretoken/core"
import { laws } from "@foretoken/core/testing"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { BuiltinTemplate } from "../flags.ts"
import { InputError, UsageError } from "../failure.ts"
import { makeProgress } from "../Progress.ts"
import type { ChosenReward } from "../reward.ts"
import { openLoneReward } from "../reward.ts"
import { type ExploitFound, type Lawfulness, certificateOf, readable } from "../rewardFindings.ts"
import type { Findings } from "../rewardFindings.ts"
import { watch, type Watched } from "../rewardWatch.ts"
import { templateOf } from "../training/template.ts"

export { complaint, show } from "../rewardFindings.ts"

interface Input {
  readonly reward: string
  readonly corpus: string
  readonly field: string
  readonly model: string | undefined
  readonly template: BuiltinTemplate | undefined
  readonly seed: number
  readonly cases: number
  readonly positions: number
  readonly mutations: number
  readonly maxTokens: number
  readonly certificate: string | undefined
}

export const run = (input: Input): Effect.Effect<Findings, Error, Scope.Scope> =>
  Effect.gen(function* () {
    const chosen = yield* openLoneReward(input.reward)
    const text = yield* openText(input)
    const watched = watch(chosen.reward)
    const { lawful, hangs } = yield* examine(watched, input)
    const search: Findings["search"] = hangs
      ? { _tag: "Skipped", reason: "it hangs" }
      : yield* Effect.raceFirst(searched(watched.reward, text, input), hanging(watched))
    const path = input.certificate ?? besideOf(chosen)
    const found: Findings = { reward: chosen.reward.name, certificate: path ?? null, laws: lawful, search }
    if (path !== undefined) yield* Reward.writeCertificate(path, certificateOf(found, chosen.sourceHash))
    return found
  })

const besideOf = ({ source }: ChosenReward<never>): string | undefined =>
  source._tag === "File" ? Reward.certificatePath(source.path) : undefined

/** The text to search on, and what can be said about it. */
const openText = Effect.fnUntraced(function* (input: Input) {
  const { corpus: name, field, model, seed, positions, maxTokens } = input
  if (model === undefined && name !== "dials") {
    const message = `--corpus ${name} needs --model, whose tokenizer cuts the text into tokens`
    return yield* new UsageError({ message })
  }
  const corpus = yield* Corpus.open(name, { field })
  const tokenizer = model === undefined ? Synthetic.tokenizer : yield* loadTokenizer(model)
  const text = yield* Exploits.readText(corpus, tokenizer, { seed, positions })
  const template = yield* templateOf(input.template, tokenizer)
  const voice = yield* Effect.try({
    try: () => Exploits.makeVoice(template, tokenizer, Exploits.fitNgram(text.fitted), maxTokens),
    catch: (cause) => new InputError({ message: cause instanceof Error ? cause.message : String(cause) })
  })
  return { corpus, text, voice }
})

type Text = Effect.Success<ReturnType<typeof openText>>

/** Holds the reward to its laws, one after the other, until it hangs. */
const examine = Effect.fnUntraced(function* ({ reward, hung }: Watched, { cases, seed, template }: Input) {
  const form = Template.builtin[template ?? "boxed"]
  const about = { template: form.name, runs: cases, seed }
  const all = laws.reward(reward, { runs: cases, seed, template: form })
  const progress = yield* makeProgress({ title: "laws", unit: "laws", total: all.length })
  const broken: Array<Lawfulness["broken"][number]> = []
  const passed: Array<string> = []
  const endless = Effect.map(hung, (report): Examined => ({
    broken: [{ law: `${reward.name} answers in time`, report }],
    hangs: true
  }))
  for (const [i, { name, check }] of all.entries()) {
    const found = yield* Effect.raceFirst(
      Effect.promise(() => examined(name, check)),
      endless
    )
    broken.push(...found.broken)
    if (found.broken.length === 0) passed.push(name)
    if (found.hangs) return { lawful: { ...about, passed, broken }, hangs: true }
    yield* progress.update(i + 1)
  }
  return { lawful: { ...about, passed, broken }, hangs: false }
})

interface Examined {
  /** None or one. */
  readonly broken: Lawfulness["broken"]
  readonly hangs: boolean
}

const examined = (law: string, check: () => Promise<void>): Promise<Examined> =>
  check().then(
    () => ({ broken: [], hangs: false }),
    (cause: unknown) => ({
      broken: [{ law, report: cause instanceof Error ? cause.message : String(cause) }],
      hangs: false
    })
  )

const hanging = ({ hung }: Watched): Effect.Effect<Findings["search"]> =>
  Effect.map(hung, (report) => ({ _tag: "Skipped", reason: report.replaceAll(/\s*\n\s*/g, " ") }))

const searched = Effect.fnUntraced(function* (
  reward: Reward.Reward<unknown>,
  { corpus, text, voice }: Text,
  { seed, mutations }: Input
): Effect.fn.Return<Findings["search"], never, Scope.Scope> {
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
