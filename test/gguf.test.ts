import { createHash } from "node:crypto"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { Effect } from "effect"
import { describe, expect, it } from "vitest"
import { loadModel, saveGguf } from "../packages/core/src/index.ts"
import type { StoredModel } from "../packages/core/src/index.ts"
import { openGguf } from "../packages/core/src/model/gguf/GgufFile.ts"
import { gap } from "../packages/core/test/model/numbers.ts"
import { temporaryDirectory } from "../packages/core/test/temporary.ts"
import { logitsOf } from "./logits.ts"
import { pythonWith } from "./python.ts"

const root = temporaryDirectory()
const fixtures = fileURLToPath(new URL("../packages/core/test/model/gguf", import.meta.url))
const script = (name: string) => readFileSync(new URL(`gguf/${name}.py`, import.meta.url), "utf8")

/** SHA-256 of the values of every tensor as the file has it. */
const hashesOf = (path: string): Promise<Readonly<Record<string, string>>> =>
  Effect.runPromise(
    Effect.scoped(
      Effect.gen(function* () {
        const file = yield* openGguf(path)
        const hashes: Array<[string, string]> = []
        for (const tensor of file.tensors) {
          const { data } = yield* file.read(tensor)
          hashes.push([tensor.name, createHash("sha256").update(new Uint8Array(data.buffer)).digest("hex")])
        }
        return Object.fromEntries(hashes)
      })
    )
  )

const python = pythonWith(["gguf", "numpy"])

describe.skipIf(python.missing)("beside the gguf package of llama.cpp", () => {
  it("matrices of random blocks of every type have the same values, bit for bit", async () => {
    const path = join(root, "blocks.gguf")
    const expected = JSON.parse(python.run(script("blocks"), [fixtures, path]))
    expect(Object.keys(expected).length).toBe(16)
    expect(await hashesOf(path)).toEqual(expected)
  })

  it("files that we write have the values and the metadata that we read in them", async () => {
    const written: Array<{ readonly path: string; readonly model: StoredModel }> = []
    for (const name of ["llama", "qwen2", "gpt2"]) {
      for (const type of ["F32", "F16", "BF16", "Q8_0"] as const) {
        const path = join(root, `${name}-${type}.gguf`)
        const model = await Effect.runPromise(loadModel(join(fixtures, `tiny-${name}.gguf`)))
        await Effect.runPromise(saveGguf(path, model, type))
        written.push({ path, model })
      }
    }
    const paths = written.map(({ path }) => path)
    const read: ReadonlyArray<Readonly<Record<string, unknown>>> = JSON.parse(python.run(script("read"), paths))
    for (const [i, { path, model }] of written.entries()) {
      const { tensors, metadata, tokens } = read[i]
      expect(await hashesOf(path)).toEqual(tensors)
      expect(tokens).toBe(model.config.vocabSize)
      expect(metadata).toMatchObject({
        "general.architecture": model.config.family,
        "tokenizer.ggml.model": model.config.family === "llama" ? "llama" : "gpt2",
        "tokenizer.ggml.pre": { llama: "default", qwen2: "qwen2", gpt2: "gpt-2" }[String(model.config.family)]
      })
    }
  })
})

const transformers = pythonWith(["gguf", "torch", "transformers"])

// It reads no head size of Qwen3, no sizes of GPT-2 and no scaling of Llama 3 out of a GGUF file.
describe.skipIf(transformers.missing)("beside transformers, which reads some GGUF files too", () => {
  it("a file of llama and one of qwen2 give the same logits", async () => {
    const llama = await Effect.runPromise(loadModel(join(fixtures, "tiny-llama.gguf")))
    const rope = { _tag: "default", theta: 10_000 } as const
    const plain = { ...llama, config: { ...llama.config, positions: { _tag: "rotary", rope } as const } }
    await Effect.runPromise(saveGguf(join(root, "plain.gguf"), plain, "F32"))
    const qwen2 = await Effect.runPromise(loadModel(join(fixtures, "tiny-qwen2.gguf")))
    await Effect.runPromise(saveGguf(join(root, "qwen2.gguf"), qwen2, "F32"))
    const answers: ReadonlyArray<ReadonlyArray<number>> = JSON.parse(
      transformers.run(script("logits"), [root, "plain.gguf", "qwen2.gguf"])
    )
    for (const [i, { config, weights }] of [plain, qwen2].entries()) {
      const largest = answers[i].reduce((most, value) => Math.max(most, Math.abs(value)), 0)
      expect(gap(logitsOf(config, weights, [1, 260, 5, 17, 261]), answers[i])).toBeLessThan(1e-5 * largest)
    }
  }, 120_000)
})
