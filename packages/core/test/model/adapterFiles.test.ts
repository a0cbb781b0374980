import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it, vi } from "@effect/vitest"
import { Effect, Result } from "effect"
import { nameOfSnapshot } from "../../src/hub/cache.ts"
import { withLora } from "../../src/model/adapters.ts"
import { parseAdapterConfig } from "../../src/model/adapterFiles.ts"
import { isAdapter } from "../../src/model/Lora.ts"
import type { LoraOptions } from "../../src/model/Lora.ts"
import { loadModel, loadModelOf, saveModel } from "../../src/model/ModelDirectory.ts"
import type { StoredModel } from "../../src/model/ModelDirectory.ts"
import { presetConfig } from "../../src/model/presets.ts"
import { readSafetensors } from "../../src/model/safetensors.ts"
import { initialWeights, weightsHash } from "../../src/model/weights.ts"
import { normals } from "../../src/random/draw.ts"
import { HostTensor, sizeOf } from "../../src/tensor/HostTensor.ts"
import { temporaryDirectory } from "../temporary.ts"

const root = temporaryDirectory()
let made = 0
const fresh = () => join(root, String(made++))

const config = Result.getOrThrow(
  presetConfig("nano", { vocabSize: 40, bos: { _tag: "one", id: 1 }, eos: { _tag: "one", id: 2 } })
)
const base: StoredModel = { config, weights: initialWeights(config, 3), tokenizerFiles: {} }

/** The base model in a directory, and adapters for it that say something. */
const onBase = (asked: LoraOptions) =>
  Effect.gen(function* () {
    const directory = fresh()
    yield* saveModel(directory, base)
    const model = yield* Effect.fromResult(withLora(base, directory, asked))
    const weights = Object.entries(model.weights).map(([name, value]) =>
      isAdapter(name)
        ? ([
            name,
            HostTensor.f32(
              value.shape,
              normals(7, [name], sizeOf(value.shape)).map((x) => x / 4)
            )
          ] as const)
        : ([name, value] as const)
    )
    return { directory, model: { ...model, weights: Object.fromEntries(weights) } }
  })

describe("adapters on disk", () => {
  it.effect("come back bit for bit, with the base model that they name, wherever that is seen from", () =>
    Effect.gen(function* () {
      const { directory, model } = yield* onBase({ rank: 3, rankStabilized: true, targets: ["q_proj", "up_proj"] })
      const there = fresh()
      yield* saveModel(there, model)
      expect(readdirSync(there).toSorted()).toEqual(["adapter_config.json", "adapter_model.safetensors"])
      const back = yield* loadModel(there)
      expect(back.config).toEqual(model.config)
      expect(weightsHash(back.weights)).toBe(weightsHash(model.weights))
      expect(Object.keys(yield* readSafetensors(join(there, "adapter_model.safetensors")))[0]).toBe(
        "base_model.model.model.layers.0.mlp.up_proj.lora_A.weight"
      )
      const text = readFileSync(join(there, "adapter_config.json"), "utf8")
      writeFileSync(join(there, "adapter_config.json"), text.replace(directory, `../${directory.split("/").at(-1)}`))
      expect(weightsHash((yield* loadModel(there)).weights)).toBe(weightsHash(model.weights))
      writeFileSync(join(there, "adapter_config.json"), text.replace("{", '{"revision":"main",'))
      expect(weightsHash((yield* loadModel(there)).weights)).toBe(weightsHash(model.weights))
      writeFileSync(join(there, "adapter_config.json"), text.replace(directory, "/gone"))
      expect((yield* Effect.flip(loadModel(there))).message).toContain(
        'adapter_config.json: its base model "/gone" is not here'
      )
      expect(weightsHash((yield* loadModelOf(there, base)).weights)).toBe(weightsHash(model.weights))
    })
  )

  it.effect("name a model of the hub by its name and revision there, and find it in the cache of the hub", () =>
    Effect.gen(function* () {
      const cache = fresh()
      vi.stubEnv("HF_HUB_CACHE", cache)
      vi.stubEnv("HF_HUB_OFFLINE", "1")
      const commit = "0123456789abcdef0123456789abcdef01234567"
      const snapshot = join(cache, "models--org--base-1B", "snapshots", commit)
      yield* saveModel(snapshot, { ...base, tokenizerFiles: { "tokenizer.json": new TextEncoder().encode("{}") } })
      const named = nameOfSnapshot(snapshot)
      expect(named).toBe(`org/base-1B@${commit}`)
      expect(nameOfSnapshot(cache)).toBeUndefined()
      const { model } = yield* onBase({ rank: 2 })
      const { lora } = model.config
      if (lora === undefined || named === undefined) throw new Error("no adapters")
      const there = fresh()
      yield* saveModel(there, { ...model, config: { ...model.config, lora: { ...lora, base: named } } })
      const path = join(there, "adapter_config.json")
      const text = readFileSync(path, "utf8")
      expect(JSON.parse(text)).toMatchObject({ base_model_name_or_path: "org/base-1B", revision: commit })
      const back = yield* loadModel(there)
      expect(back.config.lora?.base).toBe(named)
      expect(weightsHash(back.weights)).toBe(weightsHash(model.weights))
      writeFileSync(path, text.replace("org/base-1B", "org/other"))
      expect((yield* Effect.flip(loadModel(there))).message).toBe(
        `${path}: its base model org/other@${commit}: is neither a path here nor in the cache of the hub, and HF_HUB_OFFLINE is set`
      )
      vi.unstubAllEnvs()
    })
  )

  it("are refused by name where they ask for what is not done here", () => {
    const plain = { peft_type: "LORA", base_model_name_or_path: "x", r: 4, lora_alpha: 8, target_modules: ["q_proj"] }
    const refusal = (json: unknown) =>
      Result.match(parseAdapterConfig(json, "a.json"), { onSuccess: () => "", onFailure: ({ message }) => message })
    expect(refusal({ ...plain, bias: "none", modules_to_save: null, rank_pattern: {}, use_dora: false })).toBe("")
    expect(refusal({ ...plain, bias: "all" })).toBe('a.json: bias is "all", which is not supported')
    expect(refusal({ ...plain, use_dora: true })).toBe("a.json: use_dora is true, which is not supported")
    expect(refusal({ ...plain, modules_to_save: ["lm_head"] })).toContain('modules_to_save is ["lm_head"]')
    expect(refusal({ ...plain, rank_pattern: { q_proj: 2 } })).toContain('rank_pattern is {"q_proj":2}')
    // PEFT takes these start values off the base model again, each time that it loads the adapters.
    for (const start of ["pissa", "pissa_niter_4", "olora", "loftq", "corda", "lora_ga"]) {
      expect(refusal({ ...plain, init_lora_weights: start })).toContain(`init_lora_weights is "${start}", which is not`)
    }
    for (const start of [true, false, "gaussian", "eva", "orthogonal"]) {
      expect(refusal({ ...plain, init_lora_weights: start })).toBe("")
    }
    expect(refusal({ ...plain, of_a_later_version: { by: 2 } })).toContain('of_a_later_version is {"by":2}')
    expect(refusal({ ...plain, peft_type: "IA3" })).toContain("peft_type")
    expect(refusal({ ...plain, target_modules: ".*attn" })).toContain("target_modules")
    expect(refusal([])).toContain("a.json: ")
  })

  it.effect("are refused where tensors are missing, of another rank, or none of adapters", () =>
    Effect.gen(function* () {
      const { model } = yield* onBase({ rank: 2, targets: ["q_proj"] })
      const there = fresh()
      yield* saveModel(there, model)
      const path = join(there, "adapter_config.json")
      const text = readFileSync(path, "utf8")
      const refusal = (changed: string) => {
        writeFileSync(path, changed)
        return Effect.map(Effect.flip(loadModel(there)), ({ message }) => message)
      }
      expect(yield* refusal(text.replace('"r": 2', '"r": 3'))).toContain("lora_A.weight has shape [2,")
      expect(yield* refusal(text.replace('"q_proj"', '"q_proj", "k_proj"'))).toContain(
        "k_proj.lora_A.weight is missing"
      )
      expect(yield* refusal(text.replace('"q_proj"', '"k_proj"'))).toMatch(/k_proj.lora_A.weight is missing/)
      expect(yield* refusal(text.replace('"r": 2', '"r": -2'))).toContain(
        "the rank must be a whole number >= 1, not -2"
      )
      expect(yield* refusal("{")).toContain("is not JSON")
      mkdirSync(join(there, "base"))
      expect(
        yield* refusal(text.replace(/"base_model_name_or_path": "[^"]*"/, '"base_model_name_or_path": "base"'))
      ).toContain('its base model "base" is not here')
    })
  )
})
