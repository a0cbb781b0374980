import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "@effect/vitest"
import { inProcess, shared } from "./foretoken.ts"

const root = mkdtempSync(join(tmpdir(), "foretoken-train-"))
afterAll(() => rmSync(root, { recursive: true, force: true }))

/** Runs a command that must succeed, and reads the one JSON document that it writes. */
const json = async (args: ReadonlyArray<string>) => {
  const { code, stdout, stderr } = await inProcess([...args, "--json"])
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
  expect(stdout.trimEnd().split("\n")).toHaveLength(1)
  return JSON.parse(stdout)
}

const lines = (path: string) =>
  readFileSync(path, "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line))

describe("foretoken train on the generated corpus", () => {
  const warm = join(root, "warm")
  let start = { weightsHash: "", checkpoint: "" }
  beforeAll(async () => {
    const steps = ["--steps", "80", "--lr", "0.01", "--run", warm]
    start = await json(["train", "--objective", "sft", "--model", "preset:nano", "--corpus", "dials", ...steps])
  }, 120_000)

  const reinforce = (run: string, flags: string) => {
    const shape = "--steps 2 --lr 0.001 --temperature 1 --max-tokens 12 --min-entropy 0 --positions 8"
    const args = `train --model ${start.checkpoint} --corpus dials ${shape} --run ${join(root, run)} ${flags}`
    return json(args.split(" "))
  }

  let first: Awaited<ReturnType<typeof reinforce>>
  beforeAll(async () => {
    first = await reinforce("first", "--samplers 1")
  }, 120_000)

  it("gives the same weights for the same seed, whatever the number of samplers", async () => {
    expect(first.weightsHash).not.toBe(start.weightsHash)
    for (const samplers of [1, 3]) {
      const again = await reinforce(`again-${samplers}`, `--samplers ${samplers}`)
      expect(again.weightsHash).toBe(first.weightsHash)
    }
    const other = await reinforce("other", "--seed 2")
    expect(other.weightsHash).not.toBe(first.weightsHash)
  })

  it("gives the same weights for the same seed on WebAssembly", async () => {
    const [first, second] = [
      await reinforce("w1", "--backend tfjs --device wasm"),
      await reinforce("w2", "--backend tfjs --device wasm")
    ]
    expect(first.backend).toBe("tfjs:wasm")
    expect(first.weightsHash).not.toBe(start.weightsHash)
    expect(second.weightsHash).toBe(first.weightsHash)
  })

  it("leaves a run directory that says what happened", async () => {
    const { run, steps, checkpoint, weightsHash, seconds, metrics } = first
    expect({ run, steps }).toEqual({ run: join(root, "first"), steps: 2 })
    expect(seconds).toBeGreaterThan(0)
    expect(JSON.parse(readFileSync(join(checkpoint, "state.json"), "utf8")).weightsHash).toBe(weightsHash)
    const rows = lines(join(run, "metrics.jsonl"))
    expect(rows.map(({ step }) => step)).toEqual([1, 2])
    expect(rows[1]).toEqual({ step: 2, ...metrics })
    expect(JSON.parse(readFileSync(join(run, "manifest.json"), "utf8"))).toMatchObject({
      id: "first",
      backend: "onnx:cpu"
    })
    for (const sample of lines(join(run, "samples.jsonl"))) {
      expect(sample.outcome).toMatch(/^(answered|truncated|malformed|empty)$/)
      // The verdict follows from what the sample shows: a right prediction begins the truth.
      if (sample.reward > 0) expect(sample.truth.startsWith(sample.prediction)).toBe(true)
      expect(sample.logprobMean).toBeLessThanOrEqual(0)
    }
    const scored = await json(["score", "--model", checkpoint, "--text", " Mia turns the dial up 2."])
    expect(scored.nll).toBeGreaterThan(0)
  })

  it("learns: next-token prediction lowers the loss", async () => {
    const args = "--objective ntp --model preset:nano --corpus dials --steps 20 --lr 0.01".split(" ")
    const { run } = await json(["train", ...args, "--run", join(root, "ntp")])
    const losses = lines(join(run, "metrics.jsonl")).map(({ loss }) => loss)
    // Of 20 steps of so small a model a nat is a modest demand; ln of the vocabulary is where it starts.
    expect(losses.at(-1)).toBeLessThan(losses[0] - 1)
  })

  it("evaluates direct and reasoned accuracy by entropy and by what decides a token", async () => {
    const args = ["eval", "--model", start.checkpoint, "--corpus", "dials", "--documents", "8", "--max-tokens", "12"]
    const evaluated = await json([...args, "--reasoned"])
    const { documents, positions, direct, reasoned, difference, outcomes, template, winnability } = evaluated
    expect({ documents, positions }).toEqual({ documents: 8, positions: 64 })
    expect(reasoned.all.count).toBe(direct.all.count)
    expect(difference.estimate).toBeCloseTo(reasoned.all.estimate - direct.all.estimate, 12)
    expect(Object.values<number>(outcomes).reduce((sum, share) => sum + share, 0)).toBeCloseTo(1, 12)
    const sum = (rows: ReadonlyArray<{ count: number }>) => rows.reduce((total, { count }) => total + count, 0)
    expect(sum(direct.disjoint)).toBe(positions)
    expect(sum(direct.tags)).toBe(positions)
    // Nothing in the generated text collides with the template.
    expect([template, winnability]).toEqual(["compact", { positions, unwinnable: 0, firstTokenUnwinnable: 0 }])
    // All positions without --positions and --reasoned: more than the draw of them.
    const all = await json(args)
    expect(all.positions).toBeGreaterThan(positions)
  })
})

describe("foretoken train on completions from a file", () => {
  const corpus = join(root, "completions.jsonl")
  const train = (run: string, lines: ReadonlyArray<Readonly<Record<string, string>>>) => {
    writeFileSync(corpus, lines.map((line) => JSON.stringify(line)).join("\n"))
    const fields = ["--field", "context", "--completion-field", "answer"]
    const args = ["train", "--objective", "sft", "--model", "preset:nano", "--corpus", corpus, ...fields]
    return inProcess([...args, "--steps", "1", "--documents", "2", "--run", join(root, run)])
  }
  const line = { context: " Mia turns the", answer: "</think> the<|end|>" }

  it("learns from the two fields of its lines", async () => {
    const { code, stdout } = await train("completions", [line, line])
    expect(code).toBe(0)
    expect(stdout).toContain("loss/branches")
  })

  it("names a line that is too long, and a missing field", async () => {
    const long = await train("too-long", [line, { ...line, context: " the".repeat(300) }])
    expect(long.stderr).toMatch(/^foretoken: completions\.jsonl:2: text, template and completion have 305 tokens; the/)
    const unanswered = await train("unanswered", [line, { context: " Mia" }])
    expect(unanswered.stderr).toMatch(/completions\.jsonl:2: no field "answer"; the line has "context"/)
    expect([long.code, unanswered.code]).toEqual([1, 1])
    expect([existsSync(join(root, "too-long")), existsSync(join(root, "unanswered"))]).toEqual([false, false])
  })
})

describe("foretoken on real text", () => {
  const model = shared("models/stories260K")
  const corpus = shared("data/gsm8k/train.jsonl")
  const missing = model.missing || corpus.missing
  const text = ["--corpus", corpus.path, "--field", "answer"]

  it.skipIf(missing)("a training without signal leaves the weights as they were", async () => {
    const shape = "--steps 1 --seed 1 --documents 2 --positions 2 --group 4 --max-tokens 16".split(" ")
    const run = join(root, "real")
    const trained = await json(["train", "--model", model.path, ...text, ...shape, "--run", run])
    expect(trained.metrics["outcome/truncated"]).toBe(1)
    expect(trained.metrics["update/skipped"]).toBe(1)
    const prompt = ["--text", "Once upon a time there was"]
    const before = await json(["score", "--model", model.path, ...prompt])
    expect(await json(["score", "--model", trained.checkpoint, ...prompt])).toEqual(before)
  })

  it.skipIf(missing)("direct accuracy falls with entropy", async () => {
    const { direct } = await json(["eval", "--model", model.path, ...text, "--documents", "12"])
    const [easy, ...harder] = direct.disjoint
    expect(direct.all.count).toBeGreaterThan(1000)
    expect(easy.estimate).toBeGreaterThan(harder.at(-1).estimate)
    expect(direct.nested.at(-1)).toEqual({ ...harder.at(-1), name: "entropy > 1.5" })
  })
})

describe("foretoken sample", () => {
  const model = shared("models/stories260K")

  it.skipIf(model.missing)("gives rollouts whose log-probabilities a reading agrees with", async () => {
    const flags = "--n 3 --tokens 12 --seed 5 --temperature 1".split(" ")
    const { ids, rollouts } = await json(["sample", "--model", model.path, "--prompt", "Once upon a time", ...flags])
    expect(rollouts).toHaveLength(3)
    for (const { tokens, logprobs } of rollouts) {
      const { logprobs: read } = await json(["score", "--model", model.path, "--ids", [...ids, ...tokens].join(",")])
      const again: ReadonlyArray<number> = read.slice(ids.length - 1)
      expect(Math.max(...again.map((logprob, i) => Math.abs(logprob - logprobs[i])))).toBeLessThan(1e-4)
    }
  })

  it.skipIf(model.missing)("goes on greedily as transformers does", async () => {
    const [golden] = JSON.parse(readFileSync(join(model.path, "golden.json"), "utf8"))
    const flags = ["--n", "1", "--tokens", String(golden.greedy.length), "--temperature", "0"]
    const { rollouts } = await json(["sample", "--model", model.path, "--prompt", golden.text, ...flags])
    expect(rollouts[0].tokens).toEqual(golden.greedy)
  })
})
