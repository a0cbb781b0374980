/** The readers of what others wrote: frames of a ledger, safetensors, configs, lines of a corpus. */
import { createHash } from "node:crypto"
import { rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { isDeepStrictEqual } from "node:util"
import { Effect, Option, Result, Stream } from "effect"
import {
  Checkpoint,
  Corpus,
  Disk,
  initialWeights,
  Ledger,
  loadModel,
  Manifest,
  presetConfig,
  readSafetensors,
  Run,
  weightsHash
} from "../../packages/core/src/index.ts"
import type { KeptWeights } from "@foretoken/core"
import { encodeFrames, encodeHeader } from "../../packages/core/src/run/ledger/frame.ts"
import { encodeRecord } from "../../packages/core/src/run/ledger/payload.ts"
import { makeMemoryDisk } from "../../packages/core/src/testing/index.ts"
import { runRecords } from "../../packages/core/test/run/ledgerFixtures.ts"
import type { Reader } from "./fuzz.ts"
import { mutateBytes, mutateJson } from "./mutate.ts"
import type { Files } from "./reading.ts"
import { outcomeOf, perhaps, reading, refused, value } from "./reading.ts"

const records = runRecords({ steps: 1, unitsPerStep: 1, problemsPerUnit: 1, groupSize: 2 })
const payloads = records.map(encodeRecord)
const segment = new Uint8Array(Buffer.concat([encodeHeader(0), encodeFrames(payloads, 0)]))

/** Bytes of a segment that somebody changed, and records that somebody changed and summed up rightly. */
export const frames: Reader = {
  name: "frames",
  read: async (random) => {
    const isSummed = random.oneOf([true, false])
    const at = random.below(payloads.length)
    const changed = isSummed ? payloads.with(at, perhaps(payloads[at], random)) : payloads
    const input = isSummed
      ? new Uint8Array(Buffer.concat([encodeHeader(0), encodeFrames(changed, 0)]))
      : perhaps(segment, random)
    const read = reading({ "000000.ledger": input }, Ledger.readLedger("/d"))
    if (Result.isFailure(read)) return { input, outcome: refused(read.failure) }
    for (const [i, record] of read.success.records.entries()) {
      const right = isSummed && i === at ? encodeRecord(record) : payloads[i]
      const again =
        isSummed && i === at ? reading({ "000000.ledger": framed(right) }, Ledger.readLedger("/d")) : undefined
      const expected = again === undefined ? records[i] : Result.getOrThrow(again).records[0]
      if (!isDeepStrictEqual(record, expected)) throw new Error(`a wrong record: ${JSON.stringify(record)}`)
    }
    return { input, outcome: Option.match(read.success.flaw, { onNone: () => value, onSome: refused }) }
  }
}

const framed = (payload: Uint8Array) => new Uint8Array(Buffer.concat([encodeHeader(0), encodeFrames([payload], 0)]))

const tensors = {
  __metadata__: { format: "pt" },
  a: { dtype: "F32", shape: [2, 3], data_offsets: [0, 24] },
  b: { dtype: "F16", shape: [4], data_offsets: [24, 32] },
  c: { dtype: "BF16", shape: [1, 2, 1], data_offsets: [32, 36] },
  none: { dtype: "F32", shape: [0, 7], data_offsets: [36, 36] }
}

const safetensors = (header: Uint8Array, data: Uint8Array) => {
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(header.length))
  return new Uint8Array(Buffer.concat([length, header, data]))
}

export const headers: Reader = {
  name: "safetensors headers",
  read: async (random) => {
    const header = new TextEncoder().encode(JSON.stringify(tensors))
    const data = Uint8Array.from({ length: 36 }, (_, i) => i)
    const kind = random.below(3)
    const input =
      kind === 0 ? perhaps(safetensors(header, data), random) : safetensors(mutateJson(tensors, random), data)
    const outcome = outcomeOf(reading({ file: input }, readSafetensors("/d/file")), (read) => {
      const all = Object.values(read)
      const bytes = all.reduce((sum, tensor) => sum + tensor.data.byteLength, 0)
      const fits = all.every(
        ({ shape, data }) => shape.reduce((product, extent) => product * extent, 1) === data.length
      )
      return fits && bytes <= 2 * input.length
    })
    return { input, outcome }
  }
}

const model = (() => {
  const vocabulary = { vocabSize: 8, bos: { _tag: "one", id: 1 }, eos: { _tag: "one", id: 2 } } as const
  const config = {
    ...Result.getOrThrow(presetConfig("nano", vocabulary)),
    hiddenSize: 4,
    intermediateSize: 4,
    layers: 1
  }
  return { config: { ...config, heads: 2, kvHeads: 1, headDim: 2 }, tokenizerFiles: {} }
})()
const weights = initialWeights(model.config, 1)

const manifest: Manifest.Manifest = {
  format: 1,
  id: "first",
  startedAt: "2026-01-01T00:00:00.000Z",
  seed: 7,
  backend: "reference",
  config: { steps: 2, corpus: { name: "dials" } },
  versions: { node: "24.0.0" },
  machine: { platform: "linux", architecture: "x64", processor: "none", cores: 2, memoryBytes: 2 ** 33 }
}

/** The files of a checkpoint, which has all configs that there are but a run's manifest. */
const checkpoint: Files = await (async () => {
  const memory = makeMemoryDisk()
  const run = { directory: "/d", manifest }
  const saved = Checkpoint.saveCheckpoint(run, {
    step: 3,
    model: { ...model, weights },
    weightsHash: weightsHash(weights),
    optimizer: {},
    validation: { _tag: "measured", metric: "accuracy", value: 0.5 },
    progress: { step: 3, updates: 2 },
    others: {}
  })
  await Effect.runPromise(Effect.provideService(saved, Disk, memory.boot()))
  return Object.fromEntries([...memory.files()].map(([path, bytes]) => [path.slice("/d/checkpoints/3/".length), bytes]))
})()

const jsonOf = (bytes: Uint8Array): unknown => JSON.parse(new TextDecoder().decode(bytes))

export const configs: Reader = {
  name: "configs",
  read: async (random) => {
    switch (random.below(4)) {
      case 0: {
        const input = mutateJson(manifest, random)
        const read = reading({ "manifest.json": input }, Run.openRun("/d"))
        return { input, outcome: outcomeOf(read, ({ manifest }) => manifest.format === 1) }
      }
      case 1: {
        const name = random.oneOf(["SHA256SUMS", "state.json", "config.json"])
        const input =
          name === "SHA256SUMS" ? perhaps(checkpoint[name], random) : mutateJson(jsonOf(checkpoint[name]), random)
        const changed = { ...checkpoint, [name]: input }
        const sums = Object.entries(changed).filter(([name]) => name !== "SHA256SUMS")
        const lines = sums.map(([name, bytes]) => `${createHash("sha256").update(bytes).digest("hex")}  ${name}\n`)
        const summed = name === "SHA256SUMS" ? {} : { SHA256SUMS: new TextEncoder().encode(lines.join("")) }
        const files = Object.entries({ ...changed, ...summed }).map(([name, bytes]) => [`3/${name}`, bytes])
        const read = reading(Object.fromEntries(files), Checkpoint.loadCheckpoint("/d/3"))
        return { input, outcome: outcomeOf(read, ({ step, model }) => step === 3 && sameModel(model)) }
      }
      default: {
        const input = mutateJson(jsonOf(checkpoint["config.json"]), random)
        const files = { "config.json": input, "model.safetensors": checkpoint["model.safetensors"] }
        return { input, outcome: outcomeOf(reading(files, loadModel("/d")), sameModel) }
      }
    }
  }
}

/** Whatever a config says, it was taken only if it asks for the weights that are there. */
const sameModel = (read: { readonly weights: KeptWeights }) => weightsHash(read.weights) === weightsHash(weights)

let written = 0

const line = { id: 12, text: "He turns it up 2: é, 4.", tags: ["up", null], more: { text: "no" } }

/** Lines of .jsonl and .txt files, against what JSON.parse and TextDecoder make of them. Files lie in `directory`. */
export const corpora = (directory: string): Reader => ({
  name: "lines of corpora",
  read: async (random) => {
    const isJson = random.below(4) > 0
    const good = new TextEncoder().encode(`${JSON.stringify(line)}\n`)
    const bad = isJson ? mutateJson(line, random) : mutateBytes(good, random)
    const input = random.oneOf([true, false]) ? bad : new Uint8Array(Buffer.concat([good, bad]))
    // A name of its own: to write over a file costs a flush of it.
    const path = join(directory, `${written++}.${isJson ? "jsonl" : "txt"}`)
    writeFileSync(path, input)
    const split = random.oneOf([{ _tag: "Auto" }, { _tag: "BlankLines", atLeast: 10 }] as const)
    const corpus = isJson ? Corpus.jsonl(path, { field: "text" }) : Corpus.text(path, { split })
    const read = await Effect.runPromise(Effect.result(Stream.runCollect(Corpus.documents(corpus))))
    rmSync(path)
    const expected = isJson ? textsOf(input) : plainOf(input)
    const texts = Result.map(read, (documents) => documents.map(({ text }) => text))
    if (Result.isSuccess(read) !== (expected !== undefined))
      throw new Error(`${JSON.stringify(read)}: ${String(expected)}`)
    return { input, outcome: outcomeOf(texts, (found) => !isJson || isDeepStrictEqual(found, expected)) }
  }
})

const decoded = (bytes: Uint8Array): string | undefined => {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes)
  } catch {
    return undefined
  }
}

/** The texts of a .jsonl file, or undefined where there is something wrong with it. */
const textsOf = (bytes: Uint8Array): ReadonlyArray<string> | undefined => {
  const whole = decoded(bytes)
  if (whole === undefined) return undefined
  const texts: Array<string> = []
  for (const own of whole.split("\n").filter((text) => text.trim() !== "")) {
    try {
      const { text } = JSON.parse(own)
      if (typeof text !== "string" || !Object.hasOwn(JSON.parse(own), "text")) return undefined
      texts.push(text)
    } catch {
      return undefined
    }
  }
  return texts.length > 0 ? texts : undefined
}

const plainOf = (bytes: Uint8Array) => {
  const text = decoded(bytes)
  return text === undefined || text.replaceAll("<|endoftext|>", "").trim() === "" ? undefined : [text]
}
