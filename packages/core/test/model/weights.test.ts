import { createHash } from "node:crypto"
import { Result } from "effect"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import type { ModelConfig } from "../../src/model/ModelConfig.ts"
import { presetConfig } from "../../src/model/presets.ts"
import {
  checkVocabulary,
  checkWeights,
  initialWeights,
  parameterCount,
  weightShapes,
  weightsHash
} from "../../src/model/weights.ts"
import type { Weights } from "../../src/model/weights.ts"
import { HostTensor } from "../../src/tensor/HostTensor.ts"
import { familyGoldens, familyModel } from "./familyGoldens.ts"

const gpt2 = familyGoldens.find(({ name }) => name === "gpt2") ?? familyGoldens[0]
const tied = Result.getOrThrow(
  presetConfig("nano", { vocabSize: 40, bos: { _tag: "none" }, eos: { _tag: "one", id: 0 } })
)
const untied: ModelConfig = { ...tied, tieWordEmbeddings: false }
const weights = initialWeights(tied, 7)
const embedding = weights["model.embed_tokens.weight"]

const problem = (config: ModelConfig, tensors: Readonly<Record<string, HostTensor>>): string =>
  Result.getOrThrow(Result.flip(checkWeights(config, tensors, "m"))).message

describe("weights", () => {
  it("have the names and shapes of the Llama family", () => {
    const shapes = Object.fromEntries(weightShapes(untied))
    expect(Object.keys(shapes).length).toBe(1 + 2 * 9 + 2)
    expect(shapes["model.layers.1.self_attn.k_proj.weight"]).toEqual([16, 32])
    expect(shapes["model.layers.0.mlp.down_proj.weight"]).toEqual([32, 64])
    expect(shapes["lm_head.weight"]).toEqual([40, 32])
    expect([...weightShapes(tied).keys()]).not.toContain("lm_head.weight")
    expect(parameterCount(untied) - parameterCount(tied)).toBe(40 * 32)
  })

  it("of GPT-2 are found by the names of its own checkpoint too, whose masks say nothing", () => {
    const { config, weights } = familyModel(gpt2)
    const old = Object.entries(weights).map(([name, value]) => [name.replace(/^transformer\./, ""), value] as const)
    const mask = HostTensor.f32([1, 1, 2, 2], [1, 0, 1, 1])
    const tensors = { ...Object.fromEntries(old), "h.0.attn.bias": mask, "h.0.attn.masked_bias": mask }
    expect(Object.keys(tensors)).toContain("h.0.attn.c_attn.bias")
    expect(Result.getOrThrow(checkWeights(config, tensors))).toEqual(weights)
    expect(problem(config, { ...tensors, "h.0.attn.c_attn.more": mask })).toMatch(/c_attn.more" is not part/)
  })

  it("are accepted as they are made, in the order of the forward pass", () => {
    const reversed = Object.fromEntries(Object.entries(weights).toReversed())
    const checked = Result.getOrThrow(checkWeights(tied, reversed))
    expect(checked).toEqual(weights)
    expect(Object.keys(checked)).toEqual([...weightShapes(tied).keys()])
  })

  it("that are missing, extra, of another shape or type are named in one line", () => {
    const { ["model.norm.weight"]: norm, ...rest } = weights
    expect(problem(tied, rest)).toBe("m: tensor model.norm.weight is missing")
    expect(problem(untied, weights)).toBe("m: tensor lm_head.weight is missing")
    expect(problem(tied, { ...weights, "model.layers.2.bias": norm })).toBe(
      'm: tensor "model.layers.2.bias" is not part of this model'
    )
    expect(problem(tied, { ...weights, "model.norm.weight": HostTensor.f32([2], [1, 1]) })).toBe(
      "m: tensor model.norm.weight has shape [2], the config asks for [32]"
    )
    expect(problem(tied, { ...weights, "model.norm.weight": HostTensor.i32([1], [1]) })).toBe(
      "m: tensor model.norm.weight is i32, not f32"
    )
  })

  it("say in words that the vocabulary does not fit the embedding", () => {
    expect(problem({ ...tied, vocabSize: 41 }, weights)).toBe(
      "m: the vocabulary does not fit the embedding: config.json says 41 tokens, model.embed_tokens.weight has 40 rows"
    )
    expect(Result.isSuccess(checkVocabulary(tied, 40))).toBe(true)
    expect(Result.getOrThrow(Result.flip(checkVocabulary(tied, 41, "t"))).message).toBe(
      "t: the vocabulary does not fit the embedding: the tokenizer has 41 tokens, the model 40"
    )
  })

  it("may carry what says nothing new: old rotary buffers, and a tied head that equals the embedding", () => {
    const head = HostTensor.f32(embedding.shape, embedding.data.slice())
    const inverse = HostTensor.f32([1], [1])
    const checked = checkWeights(tied, {
      ...weights,
      "lm_head.weight": head,
      "model.layers.0.self_attn.rotary_emb.inv_freq": inverse
    })
    expect(Result.getOrThrow(checked)).toEqual(weights)
    head.data[5] += 1
    expect(problem(tied, { ...weights, "lm_head.weight": head })).toBe(
      "m: the config ties lm_head.weight to model.embed_tokens.weight, but the two differ"
    )
  })
})

describe("initial weights", () => {
  it("are a function of config and seed", () => {
    expect(weightsHash(initialWeights(tied, 7))).toBe(weightsHash(weights))
    expect(weightsHash(initialWeights(tied, 8))).not.toBe(weightsHash(weights))
  })

  it("have mean 0 and deviation 0.02, less where they write into the residual stream; norms are 1, biases 0", () => {
    const micro = initialWeights(
      Result.getOrThrow(presetConfig("micro", { vocabSize: 500, bos: { _tag: "none" }, eos: { _tag: "none" } })),
      1
    )
    const vectors = initialWeights(familyModel(gpt2).config, 1)
    expect([...vectors["transformer.h.0.ln_1.weight"].data]).toEqual(Array(16).fill(1))
    expect([...vectors["transformer.h.0.ln_1.bias"].data]).toEqual(Array(16).fill(0))
    expect([...vectors["transformer.h.0.mlp.c_fc.bias"].data]).toEqual(Array(64).fill(0))
    for (const [name, { shape, data }] of Object.entries(micro)) {
      if (shape.length === 1) {
        expect(new Set(data)).toEqual(new Set([1]))
        continue
      }
      const std = /o_proj|down_proj/.test(name) ? 0.02 / Math.sqrt(8) : 0.02
      const n = data.length
      const mean = data.reduce((sum, x) => sum + x, 0) / n
      const variance = data.reduce((sum, x) => sum + x * x, 0) / n
      expect(Math.abs(mean), name).toBeLessThan((5 * std) / Math.sqrt(n))
      // The sample deviation of n normals has deviation std / sqrt(2n).
      expect(Math.abs(Math.sqrt(variance) - std), name).toBeLessThan((5 * std) / Math.sqrt(2 * n))
    }
  })
})

describe("the weights' hash", () => {
  it("is SHA-256 over the sorted tensors: a JSON line each, with the SHA-256 of its bytes", () => {
    const sha = (bytes: string | Buffer) => createHash("sha256").update(bytes).digest("hex")
    const a = sha(Buffer.from("0000803f000000c0", "hex")) // 1, -2
    const b = sha(Buffer.from("07000000", "hex"))
    const expected = sha(`["a","f32",[2],"${a}"]\n["b","i32",[],"${b}"]\n`)
    expect(weightsHash({ b: HostTensor.i32([], [7]), a: HostTensor.f32([2], [1, -2]) })).toBe(expected)
  })

  it("changes with any bit, name or shape, and not with the order of the keys", () => {
    const hash = weightsHash(weights)
    const change = fc.record({ name: fc.constantFrom(...Object.keys(weights)), at: fc.nat(), bit: fc.nat(31) })
    expect(weightsHash(Object.fromEntries(Object.entries(weights).toReversed()))).toBe(hash)
    fc.assert(
      fc.property(change, ({ name, at, bit }) => {
        const data = weights[name].data.slice()
        new Uint32Array(data.buffer)[at % data.length] ^= 1 << bit
        const changed: Weights = { ...weights, [name]: { ...weights[name], data } }
        return weightsHash(changed) !== hash
      })
    )
    expect(weightsHash({ ...weights, x: HostTensor.f32([0], []) })).not.toBe(hash)
    expect(weightsHash({ a: HostTensor.f32([2, 3], new Float32Array(6)) })).not.toBe(
      weightsHash({ a: HostTensor.f32([3, 2], new Float32Array(6)) })
    )
  })
})
