import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Effect, Result } from "effect"
import { describe, expect, it } from "vitest"
import { tokenIds } from "../../src/model/ModelConfig.ts"
import { loadModel, saveModel } from "../../src/model/ModelDirectory.ts"
import type { StoredModel } from "../../src/model/ModelDirectory.ts"
import { presetConfig } from "../../src/model/presets.ts"
import { writeSafetensors } from "../../src/model/safetensors.ts"
import { initialWeights, weightsHash } from "../../src/model/weights.ts"
import { shared } from "../data/shared.ts"
import { temporaryDirectory, withFullDisk } from "../temporary.ts"

const root = temporaryDirectory()
let made = 0
const fresh = () => join(root, `${made++}`, "model")

const config = Result.getOrThrow(
  presetConfig("nano", { vocabSize: 12, bos: { _tag: "one", id: 1 }, eos: { _tag: "several", ids: [2, 3] } })
)
const model: StoredModel = {
  config,
  weights: initialWeights(config, 3),
  tokenizerFiles: { "tokenizer.json": Buffer.from("{}"), "chat_template.jinja": Buffer.from([0xff, 0x00]) }
}

const save = (directory: string, stored = model) => Effect.runPromise(Effect.result(saveModel(directory, stored)))
const load = (directory: string) => Effect.runPromise(Effect.result(loadModel(directory)))
const lineOf = <A>(result: Result.Result<A, Error>): string => Result.getOrThrow(Result.flip(result)).message

describe("a model directory", () => {
  it("is read back as it was saved, tokenizer files byte for byte", async () => {
    const directory = fresh()
    expect(Result.isSuccess(await save(directory))).toBe(true)
    const back = Result.getOrThrow(await load(directory))
    expect(back.config).toEqual(config)
    expect(weightsHash(back.weights)).toBe(weightsHash(model.weights))
    expect(Object.entries(back.tokenizerFiles).map(([name, bytes]) => [name, [...bytes]])).toEqual([
      ["tokenizer.json", [0x7b, 0x7d]],
      ["chat_template.jinja", [0xff, 0x00]]
    ])
    expect(readdirSync(directory).toSorted()).toEqual([
      "chat_template.jinja",
      "config.json",
      "generation_config.json",
      "model.safetensors",
      "tokenizer.json"
    ])
    expect(JSON.parse(readFileSync(join(directory, "generation_config.json"), "utf8"))).toMatchObject({
      eos_token_id: [2, 3]
    })
  })

  it.each([
    ["F16", "float16", 2 ** -11],
    ["BF16", "bfloat16", 2 ** -8]
  ] as const)(
    "in %s has every weight rounded once, says so in config.json, and is saved again as it is",
    async (dtype, torch, relative) => {
      const [directory, again] = [fresh(), fresh()]
      await Effect.runPromise(saveModel(directory, model, { dtype }))
      expect(JSON.parse(readFileSync(join(directory, "config.json"), "utf8"))).toMatchObject({
        dtype: torch,
        torch_dtype: torch
      })
      const back = Result.getOrThrow(await load(directory))
      let changed = 0
      for (const [name, { data }] of Object.entries(model.weights)) {
        for (const [i, value] of data.entries()) {
          const rounded = back.weights[name].data[i]
          if (rounded !== value) changed++
          // Below 2^-14 numbers of F16 are 2^-24 apart.
          expect(Math.abs(rounded - value)).toBeLessThanOrEqual(Math.max(Math.abs(value) * relative, 2 ** -25))
        }
      }
      expect(changed).toBeGreaterThan(1000)
      await Effect.runPromise(saveModel(again, back, { dtype }))
      expect(readFileSync(join(again, "model.safetensors"))).toEqual(readFileSync(join(directory, "model.safetensors")))
    }
  )

  it("may have buffers of any element type beside its weights, which are not read", async () => {
    const directory = fresh()
    await save(directory)
    const path = join(directory, "model.safetensors")
    const whole = readFileSync(path)
    const withBuffer = (name: string) => {
      const length = Number(whole.readBigUInt64LE())
      const data = whole.subarray(8 + length)
      const buffer = { dtype: "BOOL", shape: [3], data_offsets: [data.length, data.length + 3] }
      const header = Buffer.from(
        JSON.stringify({ ...JSON.parse(whole.toString("utf8", 8, 8 + length)), [name]: buffer })
      )
      const prefix = Buffer.alloc(8)
      prefix.writeBigUInt64LE(BigInt(header.length))
      writeFileSync(path, Buffer.concat([prefix, header, data, Buffer.alloc(3)]))
      return load(directory)
    }
    const back = Result.getOrThrow(await withBuffer("model.layers.0.self_attn.rotary_emb.inv_freq"))
    expect(weightsHash(back.weights)).toBe(weightsHash(model.weights))
    expect(lineOf(await withBuffer("model.mask"))).toBe(
      `${path}: tensor "model.mask" has dtype "BOOL"; Foretoken reads F32, F16 and BF16`
    )
  })

  it("of torch's own format is refused by the name of its file", async () => {
    const directory = fresh()
    await save(directory)
    renameSync(join(directory, "model.safetensors"), join(directory, "pytorch_model-00001-of-00002.bin"))
    expect(lineOf(await load(directory))).toMatch(
      /model\.safetensors: is not there, and pytorch_model-00001-of-00002\.bin is not read; /
    )
  })

  it("is not made in F16 of a value that F16 has no number for", async () => {
    const directory = fresh()
    const [name] = Object.keys(model.weights)
    const { shape, data } = model.weights[name]
    const large = {
      ...model,
      weights: { ...model.weights, [name]: { dtype: "f32", shape, data: data.with(5, 65_520) } as const }
    }
    const saved = await Effect.runPromise(Effect.result(saveModel(directory, large, { dtype: "F16" })))
    expect(lineOf(saved)).toBe(
      `${join(directory, "model.safetensors")}: tensor "${name}" has the value 65520, more than F16 can hold; BF16 can`
    )
    expect(existsSync(directory)).toBe(false)
    expect(
      Result.isSuccess(await Effect.runPromise(Effect.result(saveModel(directory, large, { dtype: "BF16" }))))
    ).toBe(true)
  })

  it("reads a sharded model like a whole one", async () => {
    const directory = fresh()
    await save(directory)
    const names = Object.keys(model.weights)
    const shardOf = (name: string) => (names.indexOf(name) % 2 === 0 ? "a.safetensors" : "b.safetensors")
    for (const shard of ["a.safetensors", "b.safetensors"]) {
      const part = Object.fromEntries(Object.entries(model.weights).filter(([name]) => shardOf(name) === shard))
      await Effect.runPromise(writeSafetensors(join(directory, shard), part))
    }
    const sharded = fresh()
    mkdirSync(sharded, { recursive: true })
    for (const file of ["config.json", "a.safetensors", "b.safetensors"])
      cpSync(join(directory, file), join(sharded, file))
    const map = Object.fromEntries(names.map((name) => [name, shardOf(name)]))
    writeFileSync(join(sharded, "model.safetensors.index.json"), JSON.stringify({ weight_map: map }))
    expect(weightsHash(Result.getOrThrow(await load(sharded)).weights)).toBe(weightsHash(model.weights))
  })

  it("is never overwritten", async () => {
    const directory = fresh()
    mkdirSync(directory, { recursive: true })
    writeFileSync(join(directory, "precious"), "x")
    expect(lineOf(await save(directory))).toBe(`${directory}: already exists and is not empty; nothing was overwritten`)
    expect(readdirSync(directory)).toEqual(["precious"])
  })

  it("is whole or not there, whichever write finds the disk full", async () => {
    for (let writes = 0; ; writes++) {
      const directory = fresh()
      const result = await withFullDisk(writes, () => save(directory))
      if (Result.isSuccess(result)) {
        expect(writes).toBeGreaterThan(20) // one a tensor and more
        break
      }
      expect(result.failure.message).toMatch(/model\/[a-z_.]+: the disk is full; nothing was written$/)
      expect(existsSync(directory)).toBe(false)
      expect(readdirSync(join(directory, ".."))).toEqual([])
    }
  })

  it("is not made of weights that do not fit the config", async () => {
    const directory = fresh()
    expect(lineOf(await save(directory, { ...model, weights: {} }))).toBe(
      "weights: tensor model.embed_tokens.weight is missing"
    )
    expect(existsSync(directory)).toBe(false)
  })

  it("answers what is missing or wrong with one line", async () => {
    const directory = fresh()
    const config = join(directory, "config.json")
    expect(lineOf(await load(directory))).toBe(`${config}: no such file or directory`)
    await save(directory)
    const json = JSON.parse(readFileSync(config, "utf8"))
    writeFileSync(config, "{")
    expect(lineOf(await load(directory))).toBe(`${config}: is not JSON`)
    writeFileSync(config, JSON.stringify({ ...json, model_type: "mamba" }))
    expect(lineOf(await load(directory))).toMatch(`${config}: model_type "mamba" is not supported, only "llama", `)
    writeFileSync(config, JSON.stringify({ ...json, vocab_size: 13 }))
    expect(lineOf(await load(directory))).toMatch(/model\.safetensors: the vocabulary does not fit the embedding: /)
  })

  it("takes what ends a text from generation_config.json too, and writes it back there", async () => {
    const directory = fresh()
    await save(directory)
    const file = join(directory, "generation_config.json")
    writeFileSync(file, JSON.stringify({ eos_token_id: [3, 5], temperature: 0.7 }))
    const back = Result.getOrThrow(await load(directory))
    const ends = [...new Set([...tokenIds(model.config.eos), 3, 5])]
    expect(tokenIds(back.config.eos)).toEqual(ends)
    const again = fresh()
    await save(again, back)
    expect(JSON.parse(readFileSync(join(again, "generation_config.json"), "utf8")).eos_token_id).toEqual(ends)
    writeFileSync(file, "{")
    expect(lineOf(await load(directory))).toBe(`${file}: is not JSON`)
  })

  const stories = shared("models/stories15M")
  it.skipIf(stories.missing)("reads real fp16 weights", async () => {
    const { config, weights, tokenizerFiles } = Result.getOrThrow(await load(stories.path))
    expect(weights["model.embed_tokens.weight"].shape).toEqual([config.vocabSize, config.hiddenSize])
    expect(Object.keys(tokenizerFiles)).toEqual(["tokenizer.json", "tokenizer_config.json"])
    for (const { data } of Object.values(weights)) expect(data.every(Number.isFinite)).toBe(true)
    // torch: load_file(...)["model.norm.weight"].float()[:3], and the sum of squares of the embedding in float64
    expect([...weights["model.norm.weight"].data.subarray(0, 3)]).toEqual([7.67578125, 7.1875, 9.2734375])
    const squares = weights["model.embed_tokens.weight"].data.reduce((sum, x) => sum + x * x, 0)
    expect(Math.abs(squares / 14814.676029305287 - 1)).toBeLessThan(1e-9)
  })
})
