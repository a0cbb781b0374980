import { readFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { run } from "../../packages/cli/src/actions/score.ts"
import type { BackendChoice } from "../../packages/cli/src/backend.ts"
import { foretoken, shared } from "./foretoken.ts"

/** What transformers 5.18 computes in f32. */
interface Golden {
  readonly text?: string
  readonly ids: ReadonlyArray<number>
  readonly logprobs_of_next: ReadonlyArray<number>
  readonly argmax: ReadonlyArray<number>
  readonly entropy: ReadonlyArray<number>
  readonly entropy_top16_renormalised: ReadonlyArray<number>
  readonly entropy_top16_raw: ReadonlyArray<number>
}

interface Scored {
  readonly ids: ReadonlyArray<number>
  readonly logprobs: ReadonlyArray<number>
  readonly argmax: ReadonlyArray<number>
  readonly entropy: ReadonlyArray<number>
  readonly entropyTop16: { readonly raw: ReadonlyArray<number>; readonly renormalised: ReadonlyArray<number> }
  readonly nll: number
  readonly accuracy: number
  readonly tokens: number
}

const backends: ReadonlyArray<BackendChoice & { readonly name: string }> = [
  { name: "onnx:cpu", backend: "onnx", device: "cpu" },
  { name: "tfjs:tensorflow", backend: "tfjs", device: "tensorflow" },
  { name: "tfjs:wasm", backend: "tfjs", device: "wasm" },
  { name: "reference", backend: "reference", device: undefined }
]

const models = [
  { directory: "stories15M", tolerance: 1e-3, on: ["onnx:cpu", "tfjs:tensorflow", "tfjs:wasm"] },
  { directory: "stories260K", tolerance: 2e-4, on: ["onnx:cpu", "tfjs:tensorflow", "tfjs:wasm", "reference"] },
  ...["llama3", "qwen2", "qwen3", "gpt2"].map((family) => ({
    directory: `tiny-random/tiny-${family}`,
    tolerance: 2e-4,
    on: ["onnx:cpu", "tfjs:tensorflow", "tfjs:wasm", "reference"]
  }))
]

const nothing = { corpus: undefined, field: "text", windows: false, maxTokens: undefined }

const largestGap = (a: ReadonlyArray<number>, b: ReadonlyArray<number>): number => {
  expect(a.length).toBe(b.length)
  return Math.max(...a.map((value, i) => Math.abs(value - b[i])))
}

describe("foretoken score agrees with transformers", () => {
  for (const { directory, tolerance, on } of models) {
    const { path, missing } = shared(`models/${directory}`)
    const read: unknown = missing ? [] : JSON.parse(readFileSync(join(path, "golden.json"), "utf8"))
    // golden.json is one object or several, in the layout of `Golden`
    const goldens = (Array.isArray(read) ? read : [read]) as ReadonlyArray<Golden>
    for (const backend of backends.filter(({ name }) => on.includes(name))) {
      it.skipIf(missing)(`${directory} on ${backend.name}`, async (test) => {
        for (const golden of goldens) {
          const given =
            golden.text === undefined
              ? { ids: golden.ids.join(","), text: undefined }
              : { text: golden.text, ids: undefined }
          const outcome = await Effect.runPromise(
            run({ model: path, storage: "f32", ...nothing, ...given, ...backend }).pipe(Effect.scoped, Effect.result)
          )
          if (outcome._tag === "Failure") {
            const { reason } = { reason: String(outcome.failure), ...outcome.failure }
            if (backend.name === "tfjs:tensorflow" && /binding|installed/.test(reason)) {
              process.stderr.write(`skipped on ${backend.name}: ${reason}\n`)
              return test.skip(reason)
            }
            throw outcome.failure
          }
          const scored = outcome.success as Scored // no corpus was given
          const limit = backend.name === "reference" ? 1e-5 : tolerance
          expect(scored.ids).toEqual(golden.ids)
          expect(largestGap(scored.logprobs, golden.logprobs_of_next)).toBeLessThan(limit)
          expect(scored.argmax).toEqual(golden.argmax)
          expect(largestGap(scored.entropy, golden.entropy)).toBeLessThan(limit)
          expect(largestGap(scored.entropyTop16.raw, golden.entropy_top16_raw)).toBeLessThan(limit)
          expect(largestGap(scored.entropyTop16.renormalised, golden.entropy_top16_renormalised)).toBeLessThan(limit)

          const n = golden.logprobs_of_next.length
          const nll = -golden.logprobs_of_next.reduce((sum, logprob) => sum + logprob, 0) / n
          const right = golden.ids.slice(1).filter((id, i) => id === golden.argmax[i]).length
          expect(Math.abs(scored.nll - nll)).toBeLessThan(limit)
          expect(scored.accuracy).toBeCloseTo(right / n, 12)
          expect(scored.tokens).toBe(n)
        }
      })
    }
  }
})

describe("foretoken score", () => {
  const tiny = shared("models/tiny-random/tiny-llama3")
  const stories = shared("models/stories260K")
  const valid = shared("data/tinystories/valid.txt")

  it.skipIf(tiny.missing)("writes one JSON document with exactly the fields of its contract", async () => {
    const { code, stdout, stderr } = await foretoken(["score", "--model", tiny.path, "--ids", "1,2,3", "--json"])
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
    const fields = ["ids", "logprobs", "argmax", "entropy", "entropyTop16", "nll", "accuracy", "tokens"]
    expect(Object.keys(JSON.parse(stdout))).toEqual(fields)
  })

  it.skipIf(stories.missing || valid.missing)("scores every token of a corpus once, however it is cut", async () => {
    const totals = (maxTokens: number) =>
      Effect.runPromise(
        run({
          model: stories.path,
          text: undefined,
          ids: undefined,
          corpus: valid.path,
          storage: "f32",
          field: "text",
          windows: true,
          maxTokens,
          backend: "onnx",
          device: undefined
        }).pipe(Effect.scoped)
      )
    const [whole, cut] = [await totals(512), await totals(40)]
    expect(cut.tokens).toBe(whole.tokens)
    // Less context makes text harder to predict.
    expect(cut.nll).toBeGreaterThan(whole.nll)
    if (!("windows" in cut) || cut.windows === undefined) throw new Error("windows were asked for")
    const logprobs = cut.windows.flatMap((window) => window.logprobs)
    expect(logprobs.length).toBe(cut.tokens)
    expect(-logprobs.reduce((sum, logprob) => sum + logprob, 0) / logprobs.length).toBeCloseTo(cut.nll, 9)
  })
})
