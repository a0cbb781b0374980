import { Result } from "effect"
import { describe, expect, it } from "vitest"
import { configJsonOf } from "../../../src/model/gguf/config.ts"
import type { MetadataValue } from "../../../src/model/gguf/header.ts"
import { refusals } from "../../../src/model/refusal.ts"

const hints = {
  vocabSize: 48,
  hasOutput: true,
  hasAttentionBias: false,
  hasMlpBias: false,
  ropeFactors: undefined
}
const plain: Readonly<Record<string, MetadataValue>> = {
  "general.architecture": "llama",
  "llama.context_length": 128,
  "llama.embedding_length": 32,
  "llama.block_count": 3,
  "llama.feed_forward_length": 40,
  "llama.attention.head_count": 4,
  "llama.attention.layer_norm_rms_epsilon": Math.fround(1e-6)
}
const config = (more: Readonly<Record<string, MetadataValue>>) =>
  refusals(() => configJsonOf(new Map(Object.entries({ ...plain, ...more })), hints))
const refusal = (more: Readonly<Record<string, MetadataValue>>) => Result.getOrThrow(Result.flip(config(more)))

describe("the metadata of a GGUF file", () => {
  it.each([
    ["logit_scale", 0.5],
    ["embedding_scale", 3],
    ["residual_scale", 3],
    ["attention.scale", 1],
    ["attn_logit_softcapping", 30],
    ["attention.causal", false],
    ["attention.max_alibi_bias", 8],
    ["attention.sliding_window_pattern", Uint8Array.of(1, 0, 1)],
    ["expert_count", 8],
    ["rope.scaling.attn_factor", 2],
    ["rope.freq_base_swa", 500],
    ["use_parallel_residual", true],
    ["a_key_of_later_versions", "yes"]
  ] as const)("that llama.cpp computes otherwise by, as %s %s, are refused by name", (key, value) => {
    expect(refusal({ [`llama.${key}`]: value })).toMatch(`"llama.${key}" is`)
  })

  it("that ask for nothing are taken", () => {
    const bare = Result.getOrThrow(config({}))
    const idle = {
      "general.type": "model",
      "llama.vocab_size": 48,
      "llama.expert_count": 0,
      "llama.expert_used_count": 2,
      "llama.attention.causal": true,
      "llama.attention.scale": 0,
      "llama.logit_scale": 1,
      "llama.rope.scaling.attn_factor": 1,
      "llama.rope.scaling.finetuned": false,
      "llama.tensor_data_layout": "Meta AI original pth",
      "qwen2.logit_scale": 3,
      "tokenizer.ggml.model": "none"
    }
    for (const [key, value] of Object.entries(idle)) expect(Result.getOrThrow(config({ [key]: value }))).toEqual(bare)
  })

  it("that are of no model, or of another vocabulary, are refused", () => {
    expect(refusal({ "general.type": "adapter" })).toBe('is a GGUF file of type "adapter" and no model')
    expect(refusal({ "llama.vocab_size": 40 })).toBe("llama.vocab_size is 40, token_embd.weight has 48 rows")
  })
})
