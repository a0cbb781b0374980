import { mkdtempSync, rmSync, statSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "@effect/vitest"
import { inProcess } from "./foretoken.ts"
import { saveTinyModel } from "./tinyModel.ts"

const root = mkdtempSync(join(tmpdir(), "foretoken-storage-"))
afterAll(() => rmSync(root, { recursive: true, force: true }))
beforeAll(() => saveTinyModel(join(root, "f32")))

const json = async (args: ReadonlyArray<string>) => {
  const { code, stdout, stderr } = await inProcess([...args, "--json"])
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
  return JSON.parse(stdout)
}

describe.each(["bf16", "f16"])("weights kept in %s", (dtype) => {
  const model = join(root, dtype)
  beforeAll(() => json(["convert", join(root, "f32"), model, "--dtype", dtype]))

  for (const backend of ["onnx", "reference"]) {
    it(`say the same as widened when they are loaded, to the last bit (${backend})`, async () => {
      const size = statSync(join(model, "model.safetensors")).size
      expect(size / statSync(join(root, "f32", "model.safetensors")).size).toBeLessThan(0.55)
      const score = (storage: string) =>
        json(["score", "--model", model, "--ids", "1,5,9,30,2,17,8,39", "--backend", backend, "--storage", storage])
      expect(await score("file")).toEqual(await score("f32"))
      const sample = (storage: string) =>
        json([
          "sample",
          "--model",
          model,
          "--prompt",
          "Mia",
          "--n",
          "3",
          "--tokens",
          "20",
          "--backend",
          backend,
          "--storage",
          storage
        ])
      const kept = await sample("file")
      expect(kept.rollouts).toHaveLength(3)
      expect(kept).toEqual(await sample("f32"))
    })
  }

  it("are refused in a line by a backend that has no such tensors", async () => {
    const flags = ["--ids", "1,2,3", "--storage", "file", "--backend", "tfjs", "--device", "wasm"]
    const { code, stdout, stderr } = await inProcess(["score", "--model", model, ...flags])
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" })
    expect(stderr).toContain(`TensorFlow.js keeps no ${dtype} values; give them as f32`)
    expect(stderr.trimEnd().split("\n")).toHaveLength(1)
  })
})
