/** The readers of models in one file: GGUF, and llama2.c with its tokenizer. */
import { Effect, Result } from "effect"
import {
  Disk,
  initialWeights,
  loadModel,
  makeModelConfig,
  presetConfig,
  saveGguf
} from "../../packages/core/src/index.ts"
import type { StoredModel } from "../../packages/core/src/index.ts"
import { makeMemoryDisk } from "../../packages/core/src/testing/index.ts"
import type { Reader } from "./fuzz.ts"
import type { Random } from "./mutate.ts"
import { mutateBytes } from "./mutate.ts"
import { outcomeOf, perhaps, reading } from "./reading.ts"

const sizes = { hiddenSize: 32, intermediateSize: 32, layers: 1, heads: 2, kvHeads: 1, headDim: 16, maxPositions: 8 }
const tokens = ["<unk>", "<s>", "</s>", "a", "b", "ab", "c", "abc"]

const tokenizerJson = {
  version: "1.0",
  added_tokens: [{ id: 1, content: "<s>", special: true }],
  pre_tokenizer: null,
  normalizer: null,
  post_processor: null,
  decoder: { type: "ByteFallback" },
  model: {
    type: "BPE",
    byte_fallback: true,
    unk_token: "<unk>",
    vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
    merges: [
      ["a", "b"],
      ["ab", "c"]
    ]
  }
}

/** A small model with a vocabulary as llama.cpp has it: the whole tokenizer.json beside it would be most of the file. */
const gguf: ReadonlyArray<Uint8Array> = await Promise.all(
  (["F32", "Q8_0"] as const).map(async (type) => {
    const vocabulary = { vocabSize: tokens.length, bos: { _tag: "one", id: 1 }, eos: { _tag: "one", id: 2 } } as const
    const config = Result.getOrThrow(
      makeModelConfig({ ...Result.getOrThrow(presetConfig("nano", vocabulary)), ...sizes })
    )
    const tokenizerFiles = { "tokenizer.json": new TextEncoder().encode(JSON.stringify(tokenizerJson)) }
    const model: StoredModel = { config, weights: initialWeights(config, 1), tokenizerFiles }
    const memory = makeMemoryDisk()
    memory.put("/d/other", new Uint8Array(0))
    await Effect.runPromise(Effect.provideService(saveGguf("/d/model.gguf", model, type), Disk, memory.boot()))
    return memory.files().get("/d/model.gguf") ?? new Uint8Array(0)
  })
)

/** Most of a file are its weights, in which every change is as good as none: most changes are made in the header. */
const changed = (file: Uint8Array, header: number, random: Random): Uint8Array => {
  if (random.below(4) === 0) return perhaps(file, random)
  return new Uint8Array(Buffer.concat([mutateBytes(file.subarray(0, header), random), file.subarray(header)]))
}

const right = (input: number, { config, weights }: StoredModel): boolean => {
  const all = Object.values(weights)
  const fits = all.every(({ shape, data }) => shape.reduce((product, extent) => product * extent, 1) === data.length)
  const bytes = all.reduce((sum, { data }) => sum + data.byteLength, 0)
  return fits && config.layers === 1 && bytes <= 32 * input
}

const llama2cHeader = (version: number): Uint8Array => {
  const head = new Uint8Array(version === 0 ? 28 : 256)
  const view = new DataView(head.buffer)
  const at = version === 0 ? 0 : 8
  for (const [i, size] of [8, 8, 1, 2, 1, 270, 8].entries()) view.setInt32(at + 4 * i, size, true)
  if (version === 0) return head
  view.setInt32(0, 0x616b3432, true)
  view.setInt32(4, version, true)
  view.setUint8(36, 1)
  if (version === 2) view.setInt32(37, 8, true)
  return head
}

/** Elements of matrices and of vectors of that model; cosines and sines of the oldest version. */
const matrices = 270 * 8 + 2 * 8 * 8 + 2 * 4 * 8 + 3 * 8 * 8
const vectors = 3 * 8
const rotations = 8 * 4

const llama2c = [0, 1, 2].map((version) => {
  const bytes = version === 2 ? matrices + (4 * matrices) / 8 : 4 * matrices + (version === 0 ? 4 * rotations : 0)
  return new Uint8Array(Buffer.concat([llama2cHeader(version), new Uint8Array(4 * vectors + bytes)]))
})

const tokenizerBin = (() => {
  const parts = [Buffer.from([6, 0, 0, 0])]
  for (let id = 0; id < 270; id++) {
    const text = Buffer.from(id < 259 ? `<${id}>` : ` abcdefghijk`.slice(0, id - 258))
    const head = Buffer.alloc(8)
    head.writeFloatLE(-id, 0)
    head.writeInt32LE(text.length, 4)
    parts.push(head, text)
  }
  return new Uint8Array(Buffer.concat(parts))
})()

export const modelFiles: Reader = {
  name: "models in one file",
  read: async (random) => {
    const kind = random.below(3)
    if (kind < 2) {
      const file = gguf[kind]
      const input = changed(file, headerOf(file), random)
      return {
        input,
        outcome: outcomeOf(reading({ "model.gguf": input }, loadModel("/d/model.gguf")), (model) =>
          right(input.length, model)
        )
      }
    }
    const version = random.below(3)
    const whole = llama2c[version]
    const isTokenizer = random.below(2) === 0
    const model = isTokenizer ? whole : changed(whole, version === 0 ? 28 : 48, random)
    const tokenizer = isTokenizer ? perhaps(tokenizerBin, random) : tokenizerBin
    const input = new Uint8Array(Buffer.concat([model, tokenizer]))
    const read = reading({ "model.bin": model, "tokenizer.bin": tokenizer }, loadModel("/d/model.bin"))
    return { input, outcome: outcomeOf(read, (loaded) => right(input.length, loaded)) }
  }
}

/** Where the last name of a tensor stands, about. */
const headerOf = (file: Uint8Array): number => Buffer.from(file).lastIndexOf("weight") + 40
