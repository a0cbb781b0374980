import { Result } from "effect"
import { describe, expect, it } from "vitest"
import { presetConfig } from "../../src/model/presets.ts"
import type { Certificate } from "../../src/reward/Certificate.ts"
import { describeMachine } from "../../src/run/Manifest.ts"
import type { Manifest } from "../../src/run/Manifest.ts"
import { mergedCard, modelCard } from "../../src/run/modelCard.ts"

const none = { _tag: "none" } as const
const model = Result.getOrThrow(presetConfig("nano", { vocabSize: 12, bos: none, eos: none }))

const manifest: Manifest = {
  format: 1,
  id: "first",
  startedAt: "2026-01-01T00:00:00.000Z",
  seed: 7,
  backend: "onnx:cpu",
  config: {
    objective: "rpt",
    steps: 200,
    policy: { model: "/models/a|b" },
    corpus: { kind: "JsonLines", path: "/data/gsm8k.jsonl", sha256: "c0ffee" },
    verifier: { reward: "lenient" },
    template: { tail: "```json\nwhat comes next?\n````" }
  },
  versions: { foretoken: "0.1.0", node: "24.0.0" },
  machine: describeMachine()
}

const certificate: Certificate = {
  format: 1,
  foretoken: "0.1.0",
  reward: "lenient",
  sourceHash: "5ca1e",
  laws: { template: "boxed", runs: 2000, seed: 1, passed: ["a", "b"], broken: ["pays nothing for a longer answer"] },
  search: {
    _tag: "Searched",
    template: "boxed",
    tokenizer: "gpt2",
    corpus: { name: "gsm8k", hash: "c0ffee" },
    seed: 1,
    positions: 512,
    tried: 300,
    honest: 0.25,
    truth: 1,
    best: { strategy: "all digits", paidWhileWrong: 0.75 },
    exploits: [{ strategy: "all digits", reward: 0.9, gain: 0.65, standardError: 0.01 }]
  }
}

const cardOf = (changed: Partial<Manifest>) =>
  modelCard({
    manifest: { ...manifest, ...changed },
    step: 40,
    model,
    weightsHash: "abc123",
    validation: { _tag: "measured", metric: "accuracy", value: 0.5 }
  })

describe("a model card", () => {
  it("tells what was learned from what, under which reward, from where, by which version", () => {
    const card = cardOf({ certificate })
    expect(card.startsWith("---\nlibrary_name: transformers\n")).toBe(true)
    for (const line of [
      "# first, step 40",
      "A causal language model of the llama family with 18976 parameters, trained with Foretoken 0.1.0.",
      "| objective | rpt: reinforcement pre-training (arXiv 2506.08007) |",
      "| corpus | /data/gsm8k.jsonl (SHA-256 c0ffee) |",
      "| began with | /models/a\\|b |",
      "| reward | lenient |",
      "| updates | 40 of 200 |",
      "| validation | accuracy 0.5 |",
      "| SHA-256 of the weights, as Foretoken takes it | abc123 |"
    ]) {
      expect(card.split("\n")).toContain(line)
    }
    expect(card).toContain("2 laws held in 2000 generated cases each, broken: pays nothing for a longer answer.")
    expect(card).toContain(
      "300 strategies at 512 positions of gsm8k; an honest guesser earned 0.25, the truth 1; all digits earned 0.9"
    )
  })

  it("has the whole manifest in a fence that nothing in it closes", () => {
    const card = cardOf({})
    const [, fence, json] = /^(`{3,})json\n(.*?)\n\1$/ms.exec(card.slice(card.indexOf("## Manifest"))) ?? []
    expect(fence).toBe("`````")
    expect(JSON.parse(json)).toEqual(manifest)
  })

  it("of adapters is one for PEFT, which merging makes one of a model", () => {
    const commit = "0123456789abcdef0123456789abcdef01234567"
    const adapted = (base: string) =>
      modelCard({
        manifest,
        step: 40,
        model: { ...model, lora: { base, rank: 4, alpha: 8, targets: ["q_proj"], rankStabilized: false } },
        weightsHash: "abc123",
        validation: { _tag: "unmeasured" }
      })
    const card = adapted(`org/base@${commit}`)
    expect(card).toMatch(/^---\nlibrary_name: peft\n(?:.*\n)*?base_model: org\/base\n/)
    expect(card).toContain(`LoRA adapters of rank 4 for the llama model org/base@${commit}, trained with Foretoken`)
    expect(card).toContain("AutoPeftModelForCausalLM")
    expect(card).not.toContain("vllm")
    expect(adapted("/a/path")).not.toContain("base_model:")
    const merged = mergedCard(card)
    expect(merged).toMatch(/^---\nlibrary_name: transformers\n(?:.*\n)*?base_model: org\/base\n/)
    expect(merged).toContain("org/base@" + commit + ", merged into it, trained with Foretoken")
    expect(merged).toContain("AutoModelForCausalLM")
    expect(merged).not.toMatch(/Peft|- lora/)
    expect(mergedCard(cardOf({}))).toBe(cardOf({}))
  })

  it("says what it does not know: no certificate, no reward, no validation", () => {
    expect(cardOf({})).toContain("None: `foretoken reward check` had not been run on lenient")
    const card = modelCard({
      manifest: { ...manifest, config: { objective: "ntp" } },
      step: 1,
      model,
      weightsHash: "",
      validation: { _tag: "unmeasured" }
    })
    expect(card).toContain("It was trained without a reward.")
    expect(card).toContain("| validation | not measured |")
    expect(card).not.toContain("| reward |")
  })
})
