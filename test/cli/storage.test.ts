import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs"
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

it("of a file that has few weights of two bytes is answered with a line about that, and done", async () => {
  await json(["convert", join(root, "f32"), join(root, "q8.gguf"), "--dtype", "q8_0"])
  for (const model of [join(root, "f32"), join(root, "q8.gguf")]) {
    const { code, stderr } = await inProcess(["score", "--model", model, "--ids", "1,2,3", "--storage", "file"])
    expect(code).toBe(0)
    expect(stderr).toBe(
      `foretoken: ${model} has no weights in F16 or BF16, which --storage file keeps in two bytes; all others take four\n`
    )
  }
})

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

  it("train to the same adapters as widened when they are loaded, to the last bit, on onnxruntime and its threads", async () => {
    const train = async (objective: string, storage: string, flags: string) => {
      const run = join(root, `${dtype}-${objective}-${storage}${flags.replaceAll(/[^a-z]/g, "")}`)
      const line =
        `train --model ${model} --corpus dials --objective ${objective} --steps 2 --documents 2 --lr 0.02 --seed 3 ` +
        `--max-tokens 8 --storage ${storage} --run ${run} ${flags}`
      const { code, stdout, stderr } = await inProcess([...line.split(" "), "--json"])
      expect(code, stderr).toBe(0)
      return JSON.parse(stdout)
    }
    const samples = ({ run }: { run: string }) => readFileSync(join(run, "samples.jsonl"), "utf8")
    if (dtype === "bf16") {
      const small = "--lora-rank 2 --context 48 --positions 1 --group 2"
      const [wide, kept] = [await train("rpt", "f32", small), await train("rpt", "file", small)]
      expect(samples(kept)).toBe(samples(wide))
      const weightsOf = ({ memory }: typeof kept) =>
        memory.parts.find(({ what }: { what: string }) => what === "weights")
      expect(weightsOf(kept).bytes / weightsOf(wide).bytes).toBeLessThan(0.7)
    }
    const flags = dtype === "bf16" ? "--lora-rank 2 --recompute" : "--freeze *.mlp,model.embed_tokens"
    const [wide, kept] = [await train("ntp", "f32", flags), await train("ntp", "file", flags)]
    expect(kept.weightsHash).toBe(wide.weightsHash)
    expect(kept.metrics.grad_norm).toBeGreaterThan(0)
  }, 60_000)

  it("are refused in a line by a backend that has no such tensors", async () => {
    const flags = ["--ids", "1,2,3", "--storage", "file", "--backend", "tfjs", "--device", "wasm"]
    const { code, stdout, stderr } = await inProcess(["score", "--model", model, ...flags])
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" })
    expect(stderr).toContain(`TensorFlow.js keeps no ${dtype} values; give them as f32`)
    expect(stderr.trimEnd().split("\n")).toHaveLength(1)
    const line = `train --model ${model} --corpus dials --objective ntp --steps 1 --storage file --run ${join(root, "no")}`
    const refused = await inProcess([...line.split(" "), "--lora-rank", "2", "--backend", "tfjs", "--device", "wasm"])
    expect(refused.code).toBe(1)
    expect(refused.stderr).toContain(`TensorFlow.js keeps no ${dtype} values; give them as f32`)
    const idle = await inProcess(line.split(" "))
    expect(idle.stderr).toContain(
      "--storage file is of weights that training leaves alone; --lora-rank or --freeze say which"
    )
    expect(existsSync(join(root, "no"))).toBe(false)
  })
})
