import { readFileSync } from "node:fs"
import { join } from "node:path"
import { Result } from "effect"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { llamaFeatures, makeModelConfig, tokenIds } from "../../src/model/ModelConfig.ts"
import type { ModelConfig } from "../../src/model/ModelConfig.ts"
import { fromHuggingFace, toHuggingFace, withGenerationConfig } from "../../src/model/ModelConfigJson.ts"
import { rotaryFrequencies } from "../../src/model/Rope.ts"
import type { Rope } from "../../src/model/Rope.ts"
import { shared } from "../data/shared.ts"
import { configs } from "./numbers.ts"

const minimal = {
  model_type: "llama",
  vocab_size: 256,
  hidden_size: 64,
  intermediate_size: 160,
  num_hidden_layers: 3,
  num_attention_heads: 4
}

const config = (json: object): ModelConfig => Result.getOrThrow(fromHuggingFace(json))
const ropeOf = ({ positions }: ModelConfig) => (positions._tag === "rotary" ? positions.rope : positions)
const refusal = (json: unknown): string =>
  Result.getOrThrow(Result.flip(fromHuggingFace(json, "m/config.json"))).message

describe("config.json", () => {
  it("takes transformers' defaults for what is missing", () => {
    expect(config(minimal)).toEqual({
      ...llamaFeatures,
      vocabSize: 256,
      hiddenSize: 64,
      intermediateSize: 160,
      layers: 3,
      heads: 4,
      kvHeads: 4,
      headDim: 16,
      norm: { _tag: "rms", eps: 1e-6 },
      tieWordEmbeddings: false,
      maxPositions: 2048,
      bos: { _tag: "one", id: 1 },
      eos: { _tag: "one", id: 2 }
    })
  })

  it("reads the old and the new way to write rope alike", () => {
    const llama3 = { factor: 8, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 64 }
    const old = config({ ...minimal, rope_theta: 5e5, rope_scaling: { rope_type: "llama3", ...llama3 } })
    const current = config({ ...minimal, rope_parameters: { rope_type: "llama3", rope_theta: 5e5, ...llama3 } })
    expect(old).toEqual(current)
    expect(ropeOf(old)).toEqual({
      _tag: "llama3",
      theta: 5e5,
      factor: 8,
      lowFreqFactor: 1,
      highFreqFactor: 4,
      originalMaxPositions: 64
    })
    expect(ropeOf(config({ ...minimal, rope_theta: 7, rope_scaling: { type: "linear", factor: 2 } }))).toEqual({
      _tag: "linear",
      theta: 7,
      factor: 2
    })
  })

  it("takes what a scaling stretches from beside it or from the longest sequence, as transformers 5 does", () => {
    const llama3 = { rope_type: "llama3", factor: 8, low_freq_factor: 1, high_freq_factor: 4 }
    const original = (part: object) => ropeOf(config({ ...minimal, max_position_embeddings: 512, ...part }))
    const of = (originalMaxPositions: number) => expect.objectContaining({ originalMaxPositions })
    for (const scaling of [llama3, { type: "yarn", factor: 2 }]) {
      expect(original({ rope_scaling: scaling })).toEqual(of(512))
      expect(original({ rope_scaling: scaling, original_max_position_embeddings: 64 })).toEqual(of(64))
      const inside = { ...scaling, original_max_position_embeddings: 32 }
      expect(original({ rope_parameters: inside })).toEqual(of(32))
      expect(refusal({ ...minimal, rope_scaling: inside, original_max_position_embeddings: 64 })).toMatch(
        /original_max_position_embeddings 64 contradicts rope_scaling.original_max_position_embeddings 32/
      )
    }
  })

  it("reads a GPT-2 config by the names that other families have, which its class takes too", () => {
    const own = { n_embd: 32, n_layer: 3, n_head: 8, n_positions: 64 }
    const other = { hidden_size: 32, num_hidden_layers: 3, num_attention_heads: 8, max_position_embeddings: 64 }
    expect(config({ model_type: "gpt2", ...other })).toEqual(config({ model_type: "gpt2", ...own }))
  })

  it("reads no, one and several end tokens", () => {
    const eos = (eos_token_id: unknown) => tokenIds(config({ ...minimal, eos_token_id }).eos)
    expect([eos(null), eos(7), eos([7, 9])]).toEqual([[], [7], [7, 9]])
  })

  const unsupported: ReadonlyArray<readonly [object, RegExp]> = [
    [{ model_type: "mamba" }, /model_type "mamba" is not supported, only "llama", .*"gpt2" are/],
    [{ architectures: ["LlamaForSequenceClassification"] }, /architectures .*LlamaForSequenceClassification/],
    [{ hidden_act: "gelu" }, /hidden_act "gelu"/],
    [{ sliding_window: 4096 }, /sliding_window 4096/],
    [{ layer_types: ["full_attention", "sliding_attention"] }, /layer_types/],
    [{ partial_rotary_factor: 0.5 }, /partial_rotary_factor 0.5/],
    [{ attention_dropout: 0.1 }, /attention_dropout 0.1/],
    [{ quantization_config: { bits: 4 } }, /quantization_config/],
    [{ is_causal: false }, /is_causal false is not supported/],
    [{ per_layer_config: { "1": { mlp_bias: true } } }, /per_layer_config .* is not supported/],
    [{ rope_scaling: { type: "longrope", factor: 4 } }, /rope type "longrope" is not supported/],
    [{ rope_scaling: { type: "dynamic", factor: 4 } }, /rope type "dynamic"/],
    [{ rope_parameters: { rope_type: "default", partial_rotary_factor: 0.25 } }, /partial_rotary_factor 0.25/],
    [{ rope_parameters: { rope_type: "linear", factor: 2, attention_factor: 3 } }, /rope_parameters.attention_factor/],
    [{ rope_parameters: { full_attention: { rope_type: "default" } } }, /rope_parameters.full_attention/]
  ]
  it.each(unsupported)("refuses by name what it does not compute: %j", (part, message) => {
    expect(refusal({ ...minimal, ...part })).toMatch(message)
  })

  const ofFamily = (model_type: string, part: object) => ({ ...minimal, model_type, ...part })
  const misfits: ReadonlyArray<readonly [object, RegExp]> = [
    [ofFamily("mistral", { attention_bias: true }), /attention_bias true is not supported/],
    [ofFamily("mistral", { layer_types: ["full_attention"] }), /layer_types has "full_attention"; Mistral's layers/],
    [
      ofFamily("mistral", { num_attention_heads: 8, sliding_window: 0 }),
      /sliding window must be a positive whole number of tokens, not 0/
    ],
    [ofFamily("qwen2", { mlp_bias: true }), /mlp_bias true/],
    [ofFamily("qwen2", { layer_types: ["full_attention"] }), /layer_types has 1 entries for 3 layers/],
    [ofFamily("qwen2", { layer_types: Array(3).fill("sliding_attention") }), /use_sliding_window or .* is off/],
    [ofFamily("qwen2", { layer_types: Array(3).fill("chunked_attention") }), /layer_types "chunked_attention"/],
    [ofFamily("qwen2", { num_hidden_layers: 1e9 }), /num_hidden_layers is 1000000000; more than 65536/],
    [ofFamily("qwen3", { hidden_act: "relu" }), /hidden_act "relu"/],
    [ofFamily("qwen3", { rope_scaling: { type: "dynamic", factor: 2 } }), /rope type "dynamic" is not supported/],
    [ofFamily("qwen3", { rope_scaling: { type: "yarn", factor: 2, mscale: 1 } }), /rope_scaling.mscale is not/],
    [ofFamily("qwen3", { rope_scaling: { type: "yarn", factor: 2, truncate: null } }), /truncate must be .*, not null/],
    [
      ofFamily("qwen3", {
        use_sliding_window: true,
        sliding_window: null,
        layer_types: Array(3).fill("sliding_attention")
      }),
      /use_sliding_window or .* is off/
    ],
    [{ model_type: "gpt2", n_head: 12, num_attention_heads: 8 }, /num_attention_heads 8 contradicts n_head 12/],
    [{ model_type: "gpt2", activation_function: "relu" }, /activation_function "relu"/],
    [{ model_type: "gpt2", scale_attn_weights: false }, /scale_attn_weights false/],
    [{ model_type: "gpt2", scale_attn_by_inverse_layer_idx: true }, /scale_attn_by_inverse_layer_idx true/],
    [{ model_type: "gpt2", add_cross_attention: true }, /add_cross_attention true/],
    [{ model_type: "gpt2", n_head: 7 }, /splits its hidden size evenly among its heads: 768 is not 7 x 109/],
    [{ model_type: "gpt2", architectures: ["GPT2Model"] }, /only "GPT2LMHeadModel" is/]
  ]
  it.each(misfits)("refuses by name what the family does not have: %j", (json, message) => {
    expect(refusal(json)).toMatch(message)
  })

  it("has the defaults of each family's class where keys are missing", () => {
    // transformers 5.24: MistralConfig(), Qwen2Config(), Qwen3Config(), GPT2Config() with the sizes of `minimal`
    const mistral = config(ofFamily("mistral", { num_attention_heads: 8 }))
    expect([mistral.kvHeads, mistral.maxPositions, mistral.window]).toEqual([
      8,
      131_072,
      { _tag: "sliding", size: 4096, layers: [0, 1, 2] }
    ])
    const qwen2 = config(ofFamily("qwen2", { num_key_value_heads: null }))
    expect([qwen2.kvHeads, qwen2.bos, qwen2.eos]).toEqual([4, { _tag: "none" }, { _tag: "none" }])
    expect(config(ofFamily("qwen3", { num_attention_heads: 32 })).headDim).toBe(128)
    const gpt2 = config({ model_type: "gpt2" })
    const { vocabSize, hiddenSize, intermediateSize, layers, heads, maxPositions, eos } = gpt2
    expect([vocabSize, hiddenSize, intermediateSize, layers, heads, maxPositions]).toEqual([
      50_257, 768, 3072, 12, 12, 1024
    ])
    expect(eos).toEqual({ _tag: "one", id: 50_256 })
  })

  it("lets Qwen's layers slide from max_window_layers on, where use_sliding_window says so", () => {
    const qwen = (part: object) =>
      config(ofFamily("qwen2", { num_key_value_heads: 2, sliding_window: 9, ...part })).window
    expect(qwen({ max_window_layers: 1 })).toEqual({ _tag: "everything" })
    const sliding = { use_sliding_window: true, max_window_layers: 1 }
    expect(qwen(sliding)).toEqual({ _tag: "sliding", size: 9, layers: [1, 2] })
    expect(qwen({ ...sliding, max_window_layers: 3 })).toEqual({ _tag: "everything" })
    expect(qwen({ ...sliding, sliding_window: null })).toEqual({ _tag: "everything" })
    const unsaid = config(ofFamily("qwen2", { num_key_value_heads: 2, ...sliding })).window
    expect(unsaid).toEqual({ _tag: "sliding", size: 4096, layers: [1, 2] })
    const types = ["sliding_attention", "full_attention", "full_attention"]
    expect(qwen({ ...sliding, layer_types: types })).toEqual({ _tag: "sliding", size: 9, layers: [0] })
  })

  const wrong: ReadonlyArray<readonly [object, RegExp]> = [
    [{ vocab_size: "many" }, /vocab_size/],
    [{ vocab_size: undefined }, /vocab_size/],
    [{ num_hidden_layers: 0 }, /layers must be a positive whole number, not 0/],
    [{ num_key_value_heads: 3 }, /4 attention heads cannot share 3 key\/value heads evenly/],
    [{ hidden_size: 66 }, /hidden size 66 is no multiple of the 4 attention heads/],
    [{ head_dim: 15 }, /head dimension 15 is odd/],
    [{ rms_norm_eps: 0 }, /epsilon of RMSNorm must be positive, not 0/],
    [{ eos_token_id: 256 }, /eos token id 256 lies outside the vocabulary of 256/],
    [{ rope_theta: -1 }, /rope theta must be positive/],
    [{ rope_scaling: { type: "linear", factor: 0.5 } }, /factor must be at least 1, not 0.5/],
    [{ rope_scaling: { type: "linear", rope_type: "llama3", factor: 2 } }, /type "linear" and rope_type "llama3"/],
    [{ rope_theta: 1e4, rope_parameters: { rope_theta: 5e5 } }, /rope_theta 10000 contradicts/],
    [
      { rope_scaling: { type: "linear", factor: 2 }, rope_parameters: { rope_type: "default" } },
      /contradict each other/
    ],
    [{ rope_scaling: { type: "llama3", factor: 8 } }, /rope_scaling.low_freq_factor must be a number, not missing/]
  ]
  it.each(wrong)("answers a wrong value with one line: %j", (part, message) => {
    const line = refusal({ ...minimal, ...part })
    expect(line).toMatch(message)
    expect(line).toMatch(/^m\/config\.json: [^\n]+$/)
  })

  it("refuses what is no object", () => {
    for (const json of [null, 3, "x", []]) expect(refusal(json)).toMatch(/must be a JSON object|has no model_type/)
  })

  it("answers any JSON with a config whose parts fit, or with one line", () => {
    const keys = [
      ...Object.keys(minimal),
      "num_key_value_heads",
      "head_dim",
      "rope_scaling",
      "rope_parameters",
      "rope_theta"
    ]
    const change = fc.dictionary(fc.constantFrom(...keys), fc.jsonValue({ maxDepth: 2 }), { maxKeys: 3 })
    fc.assert(
      fc.property(change, (part) => {
        const result = fromHuggingFace({ ...minimal, ...part })
        if (Result.isFailure(result)) expect(result.failure.message).not.toContain("\n")
        else expect(result.success.heads % result.success.kvHeads).toBe(0)
      })
    )
  })

  it("is read back as it was written", () => {
    fc.assert(
      fc.property(arbitraryConfig, (config) => {
        const json: unknown = JSON.parse(JSON.stringify(toHuggingFace(config)))
        expect(Result.getOrThrow(fromHuggingFace(json))).toEqual(config)
      })
    )
  })

  it("has the ends of text of generation_config.json beside its own", () => {
    const eosOf = (eos_token_id: unknown, generation: unknown) => {
      const own = config({ ...minimal, eos_token_id })
      return Result.map(withGenerationConfig(own, generation), ({ eos }) => tokenIds(eos))
    }
    const ids = (own: unknown, more: unknown) => Result.getOrThrow(eosOf(own, { eos_token_id: more }))
    expect(ids(7, [7, 9])).toEqual([7, 9])
    expect(ids(null, 5)).toEqual([5])
    expect(ids([3, 4], null)).toEqual([3, 4])
    expect(ids(7, [256, 9])).toEqual([7, 9]) // the vocabulary ends at 255
    expect(Result.getOrThrow(eosOf(7, { temperature: 0.7 }))).toEqual([7])
    const wrong = Result.getOrThrow(Result.flip(eosOf(7, { eos_token_id: "</s>" })))
    expect(wrong.message).toBe('generation_config.json: eos_token_id must be a token id or several, not "</s>"')
  })

  const models = shared("models")
  it.skipIf(models.missing)("reads the shared models of every family", () => {
    const read = (name: string): unknown => JSON.parse(readFileSync(join(models.path, name, "config.json"), "utf8"))
    expect(Result.getOrThrow(fromHuggingFace(read("tiny-random/tiny-llama3"))).headDim).toBe(24)
    expect(Result.getOrThrow(fromHuggingFace(read("stories260K"))).kvHeads).toBe(4)
    expect(Result.getOrThrow(fromHuggingFace(read("stories15M"))).tieWordEmbeddings).toBe(true)
    const tiny = (family: string) => Result.getOrThrow(fromHuggingFace(read(`tiny-random/tiny-${family}`)))
    expect(tiny("qwen2").bias).toEqual({ qkv: true, output: false, mlp: false })
    expect(tiny("qwen3").qkNorm).toBe(true)
    // Its config has the end of text of the real GPT-2, 50256, and a vocabulary of 256.
    expect(tiny("gpt2").eos).toEqual({ _tag: "none" })
  })
})

const positive = fc.double({ min: 1e-3, max: 1e6, noNaN: true })
const factor = fc.double({ min: 1, max: 64, noNaN: true })
const arbitraryRope: fc.Arbitrary<Rope> = fc.oneof(
  fc.record({ _tag: fc.constant("default" as const), theta: positive }),
  fc.record({ _tag: fc.constant("linear" as const), theta: positive, factor }),
  fc.record({
    _tag: fc.constant("llama3" as const),
    theta: positive,
    factor,
    lowFreqFactor: fc.double({ min: 0.1, max: 1, noNaN: true }),
    highFreqFactor: fc.double({ min: 2, max: 8, noNaN: true }),
    originalMaxPositions: fc.integer({ min: 1, max: 10_000 })
  })
)
const token = fc.integer({ min: 0, max: 9 })
const arbitraryToken = fc.oneof(
  fc.constant({ _tag: "none" as const }),
  fc.record({ _tag: fc.constant("one" as const), id: token }),
  fc.record({ _tag: fc.constant("several" as const), ids: fc.array(token, { maxLength: 3 }) })
)
const arbitraryConfig: fc.Arbitrary<ModelConfig> = fc
  .record({
    vocabSize: fc.integer({ min: 10, max: 100_000 }),
    rope: arbitraryRope,
    eps: fc.constantFrom(1e-5, 1e-6),
    bos: arbitraryToken,
    eos: arbitraryToken,
    of: configs
  })
  .map(({ rope, eps, of, ...rest }) => ({
    ...of,
    norm: { ...of.norm, eps },
    positions: of.positions._tag === "rotary" ? { _tag: "rotary", rope } : of.positions,
    ...rest
  }))

describe("a model config", () => {
  it("is accepted where its parts fit", () => {
    fc.assert(fc.property(arbitraryConfig, (config) => Result.isSuccess(makeModelConfig(config))))
  })

  it("is refused, with the size named, where a size is not a positive whole number", () => {
    const base = config(minimal)
    for (const size of ["vocabSize", "hiddenSize", "layers", "headDim", "maxPositions"] as const) {
      for (const bad of [0, -2, 1.5, NaN, Infinity]) {
        const result = Result.flip(makeModelConfig({ ...base, [size]: bad }))
        expect(Result.getOrThrow(result).reason).toBe(`${size} must be a positive whole number, not ${bad}`)
      }
    }
  })
})

describe("rotary frequencies", () => {
  // transformers 5.18, LlamaRotaryEmbedding(config).inv_freq, head_dim 24, float32.
  const golden: ReadonlyArray<readonly [Rope, ReadonlyArray<number>]> = [
    [
      { _tag: "default", theta: 10_000 },
      [
        1, 0.46415889263153076, 0.2154434472322464, 0.10000000149011612, 0.04641588404774666, 0.02154434844851494,
        0.009999999776482582, 0.00464158970862627, 0.002154434332624078, 0.0010000000474974513, 0.00046415894757956266,
        0.00021544341871049255
      ]
    ],
    [
      { _tag: "linear", theta: 10_000, factor: 4 },
      [
        0.25, 0.11603972315788269, 0.0538608618080616, 0.02500000037252903, 0.011603971011936665, 0.005386087112128735,
        0.0024999999441206455, 0.0011603974271565676, 0.0005386085831560194, 0.0002500000118743628,
        0.00011603973689489067, 5.386085467762314e-5
      ]
    ],
    [
      { _tag: "llama3", theta: 500_000, factor: 8, lowFreqFactor: 1, highFreqFactor: 4, originalMaxPositions: 64 },
      [
        1, 0.2776327431201935, 0.01872318983078003, 0.004700753837823868, 0.0015749010490253568, 0.0005276418523862958,
        0.00017677668074611574, 5.922580021433532e-5, 1.9842507754219696e-5, 6.647869668086059e-6,
        2.2272474780038465e-6, 7.461979407707986e-7
      ]
    ]
  ]
  it.each(golden)("agree with transformers: %j", (rope, expected) => {
    const frequencies = rotaryFrequencies(rope, 24)
    expect(frequencies.length).toBe(12)
    expected.forEach((value, i) => expect(Math.abs(frequencies[i] / value - 1)).toBeLessThan(1e-6))
  })

  it("lie, under llama3, between the plain ones and those divided by the factor", () => {
    fc.assert(
      fc.property(arbitraryRope, fc.integer({ min: 1, max: 64 }), (rope, half) => {
        fc.pre(rope._tag === "llama3")
        const plain = rotaryFrequencies({ _tag: "default", theta: rope.theta }, 2 * half)
        const scaled = rotaryFrequencies(rope, 2 * half)
        return scaled.every((f, i) => f <= plain[i] * (1 + 1e-12) && f >= (plain[i] / rope.factor) * (1 - 1e-12))
      })
    )
  })
})
