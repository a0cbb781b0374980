/**
 * README.md of a checkpoint: the model card that the hub and people read. What it was trained on, with what reward, how, by which
 * version; and the manifest of the run, whole.
 */
import { Predicate, Result, Schema } from "effect"
import { hubName } from "../hub/name.ts"
import type { ModelConfig } from "../model/ModelConfig.ts"
import { parameterCount } from "../model/weights.ts"
import type { Certificate } from "../reward/Certificate.ts"
import type { Validation } from "./Checkpoint.ts"
import { Manifest } from "./Manifest.ts"

export interface CardOf {
  readonly manifest: Manifest
  readonly step: number
  readonly model: ModelConfig
  readonly weightsHash: string
  readonly validation: Validation
}

export const modelCard = ({ manifest, step, model, weightsHash, validation }: CardOf): string => {
  const { id, versions, seed, backend, startedAt, config, certificate } = manifest
  const told = (...path: ReadonlyArray<string>) => textAt(config, path)
  const rows: ReadonlyArray<readonly [string, string | undefined]> = [
    ["objective", objectives[told("objective") ?? ""] ?? told("objective")],
    ["corpus", corpusOf(config)],
    ["began with", told("policy", "model") ?? told("tokenizer")],
    ["reward", rewardOf(config)],
    ["updates", told("steps") === undefined ? String(step) : `${step} of ${told("steps")}`],
    ["validation", validation._tag === "measured" ? `${validation.metric} ${validation.value}` : "not measured"],
    ["seed", String(seed)],
    ["backend", backend],
    ["started", startedAt],
    ["SHA-256 of the weights, as Foretoken takes it", weightsHash]
  ]
  const table = rows.flatMap(([name, value]) => (value === undefined ? [] : [`| ${name} | ${cell(value)} |`]))
  const whole = JSON.stringify(Schema.encodeSync(Manifest)(manifest), undefined, 2)
  return `---
${frontMatter(model).join("\n")}
---

# ${oneLine(id)}, step ${step}

${whatItIs(model)}, trained with Foretoken ${versions["foretoken"] ?? ""}.

| | |
| --- | --- |
${table.join("\n")}

## Reward certificate

${certificate === undefined ? noCertificate(rewardOf(config)) : certified(certificate)}

## Use

${model.lora === undefined ? useModel : useAdapters}

## Manifest

All that is needed to train it again:

${fenced(whole)}
`
}

/** The card of adapters for the model that they were merged into. A card that is none of adapters stays as it is. */
export const mergedCard = (card: string): string =>
  card.includes(useAdapters)
    ? card
        .replace("library_name: peft\n", "library_name: transformers\n")
        .replace("\n  - lora\n", "\n")
        .replace(
          /^(LoRA adapters of rank .*), trained with/m,
          "A causal language model: $1, merged into it, trained with"
        )
        .replace(useAdapters, () => useModel)
    : card

const frontMatter = ({ lora }: ModelConfig): ReadonlyArray<string> => {
  const tags = ["tags:", "  - foretoken"]
  if (lora === undefined) return ["library_name: transformers", "pipeline_tag: text-generation", ...tags]
  // The hub takes names of its own there and no paths.
  const base = hubName(lora.base)
  const named = base !== undefined && Result.isSuccess(base) ? [`base_model: ${base.success.repo}`] : []
  return ["library_name: peft", "pipeline_tag: text-generation", ...named, ...tags, "  - lora"]
}

const whatItIs = (model: ModelConfig): string =>
  model.lora === undefined
    ? `A causal language model of the ${model.family} family with ${parameterCount(model)} parameters`
    : `LoRA adapters of rank ${model.lora.rank} for the ${model.family} model ${oneLine(model.lora.base)}`

const useModel = `\`\`\`python
from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained(".")
tokenizer = AutoTokenizer.from_pretrained(".")
\`\`\`

\`vllm serve .\` serves it; \`foretoken convert . model.gguf\` makes a file for llama.cpp.`

const useAdapters = `\`\`\`python
from peft import AutoPeftModelForCausalLM
from transformers import AutoTokenizer

model = AutoPeftModelForCausalLM.from_pretrained(".")
tokenizer = AutoTokenizer.from_pretrained(".")
\`\`\`

\`foretoken convert . merged\` makes one model of the base and them.`

const objectives: Readonly<Record<string, string>> = {
  rpt: "rpt: reinforcement pre-training (arXiv 2506.08007)",
  ntp: "ntp: next-token prediction",
  sft: "sft: completions that were given"
}

const textAt = (json: unknown, path: ReadonlyArray<string>): string | undefined => {
  const found = path.reduce<unknown>(
    (at, key) => (Predicate.isObject(at) ? Object.entries(at).find(([own]) => own === key)?.[1] : undefined),
    json
  )
  return typeof found === "string" || typeof found === "number" ? String(found) : undefined
}

/** Runs on problems have a fingerprint of their corpus, supervised ones its name. */
const corpusOf = (config: unknown): string | undefined => {
  const name = textAt(config, ["corpus"]) ?? textAt(config, ["corpus", "name"]) ?? textAt(config, ["corpus", "path"])
  const hash = textAt(config, ["corpus", "sha256"])
  return hash === undefined ? name : `${name ?? ""} (SHA-256 ${hash})`
}

const rewardOf = (config: unknown): string | undefined =>
  textAt(config, ["verifier", "reward"]) ?? textAt(config, ["verifier", "reward", "name"])

const noCertificate = (reward: string | undefined): string =>
  reward === undefined
    ? "It was trained without a reward."
    : `None: \`foretoken reward check\` had not been run on ${reward}, or its certificate was not given to the run.`

const certified = ({ reward, foretoken, sourceHash, laws, search }: Certificate): string => {
  const held = `${laws.passed.length} laws held in ${laws.runs} generated cases each`
  const broken = laws.broken.length === 0 ? "none was broken" : `broken: ${laws.broken.join("; ")}`
  return [
    `Foretoken ${foretoken} checked ${oneLine(reward)} (SHA-256 of its source ${sourceHash}).`,
    "",
    `- Laws: ${held}, ${oneLine(broken)}.`,
    `- Search for exploits: ${oneLine(searched(search))}.`
  ].join("\n")
}

const searched = (search: Certificate["search"]): string => {
  if (search._tag === "Skipped") return `skipped, ${search.reason}`
  const { tried, positions, corpus, honest, truth, best, exploits } = search
  const found =
    exploits.length === 0
      ? "no strategy earned more than honesty by wrong answers"
      : exploits.map(({ strategy, reward, gain }) => `${strategy} earned ${reward}, ${gain} above honesty`).join("; ")
  return (
    `${tried} strategies at ${positions} positions of ${corpus.name}; an honest guesser earned ${honest}, the truth ${truth}; ` +
    `${found}; the best paid while wrong was ${best.strategy} with ${best.paidWhileWrong}`
  )
}

const oneLine = (text: string): string => text.replaceAll(/\s+/g, " ")
const cell = (text: string): string => oneLine(text).replaceAll("|", "\\|")

/** A fence that is longer than any run of backticks inside. */
const fenced = (text: string): string => {
  const longest = Math.max(0, ...(text.match(/`+/g) ?? []).map((run) => run.length))
  const fence = "`".repeat(Math.max(3, longest + 1))
  return `${fence}json\n${text}\n${fence}`
}
