import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, describe, it } from "vitest"
import { fuzzed } from "./fuzz/fuzz.ts"
import { modelFiles } from "./fuzz/modelFiles.ts"
import { configs, corpora, frames, headers } from "./fuzz/readers.ts"
import { tokenizers } from "./fuzz/tokenizers.ts"

const directory = mkdtempSync(join(tmpdir(), "foretoken-fuzz-"))
afterAll(() => rmSync(directory, { recursive: true, force: true }))

describe("1,000,000 inputs that nobody meant", () => {
  for (const reader of [frames, headers, configs, corpora(directory), modelFiles]) {
    it(`that are ${reader.name} are values or typed errors, and nobody makes room for what they claim`, () =>
      fuzzed(reader, 200_000, 2))
  }
})

it("20,000 tokenizers that nobody meant spell a text or say that they cannot", () => fuzzed(tokenizers, 20_000, 2))
