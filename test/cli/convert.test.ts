import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { afterAll, describe, expect, it } from "vitest"
import { inProcess } from "./foretoken.ts"

const root = mkdtempSync(join(tmpdir(), "foretoken-convert-"))
afterAll(() => rmSync(root, { recursive: true, force: true }))
const fixture = (path: string) => fileURLToPath(new URL(`../../packages/core/test/model/${path}`, import.meta.url))
const json = async (args: ReadonlyArray<string>) => {
  const { code, stdout, stderr } = await inProcess([...args, "--json"])
  expect(stderr).toBe("")
  expect(code).toBe(0)
  return JSON.parse(stdout)
}
const scored = (model: string, ids = "1,262,263,264") =>
  json(["score", "--model", model, "--ids", ids, "--backend", "reference"])

describe("foretoken convert", () => {
  it("makes a directory of a GGUF file and a GGUF file of that, and all three score alike, bit for bit", async () => {
    const [directory, file] = [join(root, "qwen3"), join(root, "qwen3.gguf")]
    const gguf = fixture("gguf/tiny-qwen3.gguf")
    expect(await json(["convert", gguf, directory])).toMatchObject({
      format: "directory",
      dtype: "f32",
      family: "qwen3"
    })
    expect(await json(["convert", directory, file, "--dtype", "bf16"])).toMatchObject({ format: "gguf", dtype: "bf16" })
    const score = await scored(gguf)
    expect(await scored(directory)).toEqual(score)
    // Its matrices were BF16 from the start.
    expect(await scored(file)).toEqual(score)
  })

  it("writes shards where one file may not have it all, which score alike, and refuses them of a GGUF file", async () => {
    const [gguf, whole, cut] = [fixture("gguf/tiny-qwen3.gguf"), join(root, "in-one"), join(root, "in-shards")]
    const one = await json(["convert", gguf, whole])
    const many = await json(["convert", gguf, cut, "--max-shard-size", "20kB"])
    const shards = readdirSync(cut).filter((name) => name.endsWith(".safetensors"))
    expect(shards.length).toBeGreaterThan(3)
    expect(shards[0]).toBe(`model-00001-of-0000${shards.length}.safetensors`)
    expect(many.bytes).toBeGreaterThan(one.bytes) // more headers
    expect(await scored(cut)).toEqual(await scored(whole))
    const refused = await inProcess(["convert", gguf, join(root, "no.gguf"), "--max-shard-size", "1MB"])
    expect(refused.stderr).toContain("--max-shard-size is of directories")
  })

  it("makes a directory of a llama2.c checkpoint, with the tokenizer that lies beside it", async () => {
    const directory = join(root, "llama2c")
    await json(["convert", fixture("llama2c/v1/model.bin"), directory])
    expect(JSON.parse(readFileSync(join(directory, "tokenizer.json"), "utf8")).model.type).toBe("BPE")
    expect(await scored(directory, "1,262")).toEqual(await scored(fixture("llama2c/v1/model.bin"), "1,262"))
  })

  it("takes the tokenizer from elsewhere where it is told to, and keeps the model card", async () => {
    const [bare, whole, again] = [join(root, "bare"), join(root, "whole"), join(root, "again")]
    const given = ["--tokenizer", fixture("llama2c/v1/model.bin")]
    await json(["convert", fixture("llama2c/v2/model.bin"), bare])
    expect(existsSync(join(bare, "tokenizer.json"))).toBe(false)
    await json(["convert", fixture("llama2c/v2/model.bin"), whole, ...given])
    expect(existsSync(join(whole, "tokenizer.json"))).toBe(true)
    writeFileSync(join(whole, "README.md"), "# What it learned\n")
    expect(await json(["convert", whole, again, "--dtype", "f16"])).toMatchObject({ dtype: "f16" })
    expect(readFileSync(join(again, "README.md"), "utf8")).toBe("# What it learned\n")
  })

  it("takes what was trained from a GGUF file to another one, and the model card to a directory", async () => {
    const text = join(root, "text.txt")
    writeFileSync(text, "the hand and the tin in the hand and the tin\n\n".repeat(8))
    const shape = "--objective ntp --steps 1 --documents 2 --context 16 --backend reference"
    const model = ["--model", fixture("gguf/tiny-qwen2.gguf"), "--corpus", text, "--run", join(root, "run")]
    const { checkpoint, weightsHash } = await json(["train", ...model, ...shape.split(" ")])
    await json(["convert", checkpoint, join(root, "trained.gguf")])
    await json(["convert", join(root, "trained.gguf"), join(root, "trained")])
    expect(await scored(join(root, "trained"))).toEqual(await scored(checkpoint))
    await json(["convert", checkpoint, join(root, "kept")])
    const card = readFileSync(join(root, "kept", "README.md"), "utf8")
    expect(card).toContain("| objective | ntp: next-token prediction |")
    expect(card).toContain(weightsHash)
    expect(card).toBe(readFileSync(join(checkpoint, "README.md"), "utf8"))
  })

  it.each([
    [
      "a path where something is",
      [fixture("gguf/tiny-qwen2.gguf"), root],
      1,
      /is there already; nothing was overwritten/
    ],
    [
      "q8_0 in a directory",
      [fixture("gguf/tiny-qwen2.gguf"), join(root, "q8"), "--dtype", "q8_0"],
      2,
      /is written to GGUF files only/
    ],
    ["a model that is not there", [join(root, "nothing"), join(root, "out")], 1, /nothing\/config\.json: no such file/],
    [
      "a file that is no model",
      [fixture("gguf/tiny.py"), join(root, "out")],
      1,
      /is neither a GGUF file nor a llama2\.c checkpoint/
    ]
  ] as const)("refuses %s in one line", async (_, args, exitCode, reason) => {
    const { code, stderr } = await inProcess(["convert", ...args])
    expect(code).toBe(exitCode)
    expect(stderr).toMatch(reason)
    expect(stderr.trimEnd()).not.toContain("\n")
  })
})
