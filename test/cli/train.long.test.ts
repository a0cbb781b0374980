import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, describe, expect, it } from "@effect/vitest"
import { foretoken, shared } from "./foretoken.ts"

const root = mkdtempSync(join(tmpdir(), "foretoken-long-"))
afterAll(() => rmSync(root, { recursive: true, force: true }))

const model = shared("models/stories15M")
const corpus = shared("data/gsm8k/train.jsonl")
const missing = model.missing || corpus.missing

const train = async (run: string, flags: ReadonlyArray<string>) => {
  const text = ["--corpus", corpus.path, "--field", "answer", "--seed", "1"]
  const args = ["train", "--model", model.path, ...text, "--run", join(root, run), "--json", ...flags]
  const { code, stdout, stderr } = await foretoken(args)
  if (code !== 0) throw new Error(stderr)
  return JSON.parse(stdout)
}

describe.skipIf(missing)("foretoken train on real text with a real model", () => {
  for (const backend of ["onnx", "tfjs"]) {
    it(`runs twice to the same weights on ${backend}, and shows samples that make sense`, async () => {
      const flags = ["--steps", "3", "--backend", backend]
      const [first, second] = [await train(`${backend}-1`, flags), await train(`${backend}-2`, flags)]
      expect(second.weightsHash).toBe(first.weightsHash)
      const samples = readFileSync(join(first.run, "samples.jsonl"), "utf8").trimEnd().split("\n")
      for (const line of samples) {
        const { reward, truth, prediction, logprobMean } = JSON.parse(line)
        expect(reward).toBe(prediction !== null && prediction !== "" && truth.startsWith(prediction) ? 1 : 0)
        // Some nats a token at temperature 0.8, far from ln 32000.
        expect(logprobMean).toBeLessThan(0)
        expect(logprobMean).toBeGreaterThan(-5)
      }
    })
  }

  it("next-token training moves the weights alike in two runs and lowers the loss", async () => {
    const flags = ["--objective", "ntp", "--steps", "8", "--lr", "0.0003", "--documents", "4"]
    const [first, second] = [await train("ntp-1", flags), await train("ntp-2", flags)]
    expect(second.weightsHash).toBe(first.weightsHash)
    const losses = readFileSync(join(first.run, "metrics.jsonl"), "utf8")
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line).loss)
    expect(losses.at(-1)).toBeLessThan(losses[0])
  })
})
