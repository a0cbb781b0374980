import { createHash } from "node:crypto"
import { readFileSync, rmSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { Effect } from "effect"
import { describe, expect, it } from "vitest"
import { loadModel, loadTokenizer, weightsHash } from "../packages/core/src/index.ts"
import { tensorTypes } from "../packages/core/src/model/gguf/tensorTypes.ts"
import { shared } from "../packages/core/test/data/shared.ts"
import { temporaryDirectory } from "../packages/core/test/temporary.ts"
import { pythonWith } from "./python.ts"

const root = temporaryDirectory()
const fixtures = fileURLToPath(new URL("../packages/core/test/model/gguf", import.meta.url))
const script = readFileSync(new URL("gguf/stories.py", import.meta.url), "utf8")
const stories = shared("models/stories15M")
const python = pythonWith(["gguf", "numpy", "safetensors"])

describe.skipIf(python.missing || stories.missing)("stories15M as a GGUF file of the gguf package", () => {
  it.each([...tensorTypes.values()].map(({ name }) => name))(
    "in %s has the package's values, bit for bit",
    async (type) => {
      const path = join(root, `${type}.gguf`)
      const expected = JSON.parse(python.run(script, [fixtures, stories.path, path, type]))
      const { config, weights } = await Effect.runPromise(loadModel(path))
      const hashes = Object.entries(weights).map(([name, { data }]) => [
        name,
        createHash("sha256").update(new Uint8Array(data.buffer)).digest("hex")
      ])
      expect(Object.fromEntries(hashes)).toEqual(expected)
      const original = await Effect.runPromise(loadModel(stories.path))
      expect(config).toEqual(original.config)
      // The model was F16 from the start.
      if (type === "F32" || type === "F16") expect(weightsHash(weights)).toBe(weightsHash(original.weights))
      if (type === "F16") {
        const [carried, own] = await Promise.all(
          [path, stories.path].map((where) => Effect.runPromise(loadTokenizer(where)))
        )
        const text = readFileSync(shared("data/tinystories/valid.txt").path, "utf8").slice(0, 200_000)
        expect(carried.encode(text)).toEqual(own.encode(text))
      }
      rmSync(path)
    }
  )
})
