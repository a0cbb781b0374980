/**
 * What `fpmath: "bf16"` costs and gains on this machine: the log-probabilities of a text's tokens and the time to read
 * them, at both precisions. Each is measured in a process of its own, since libtensorflow is told once.
 *
 * usage: node -C @foretoken/source packages/backend-tfjs/scripts/fpmath.ts MODEL_DIRECTORY TEXT_FILE
 */
import { execFileSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { Backend, loadModel, makeProgramCache, makeScorer, Tokenizer } from "@foretoken/core"
import type { Buffer } from "@foretoken/core"
import { Tfjs } from "@foretoken/backend-tfjs"
import * as Effect from "effect/Effect"

type Reading = { readonly milliseconds: number; readonly logprobs: ReadonlyArray<number> }

const [documents, length, runs] = [8, 192, 9]

const read = (model: string, text: string) =>
  Effect.gen(function* () {
    const { config, weights } = yield* loadModel(model)
    const tokenizer = yield* Tokenizer.load(model)
    const tokens = tokenizer.encode(text).slice(0, documents * length)
    if (tokens.length < documents * length) throw new Error(`the text must have ${documents * length} tokens`)
    const backend = yield* Backend
    const resident: Record<string, Buffer> = {}
    for (const [name, value] of Object.entries(weights)) resident[name] = yield* backend.upload(value)
    const scorer = yield* makeScorer(config, yield* makeProgramCache)
    const times: Array<number> = []
    let logprobs: ReadonlyArray<number> = []
    for (let run = 0; run < runs; run++) {
      const start = performance.now()
      const scores = yield* scorer.score(resident, { documents, length, tokens: Int32Array.from(tokens) })
      times.push(performance.now() - start)
      logprobs = Array.from(scores.logprobs).filter((_, i) => i % length < length - 1)
    }
    return { milliseconds: times.toSorted((a, b) => a - b)[runs >> 1], logprobs }
  })

const [model, file, fpmath] = process.argv.slice(2)
if (model === undefined || file === undefined) {
  process.stderr.write("usage: fpmath.ts MODEL_DIRECTORY TEXT_FILE\n")
  process.exit(2)
}
if (fpmath === "f32" || fpmath === "bf16") {
  const reading = read(model, readFileSync(file, "utf8")).pipe(
    Effect.provide(Tfjs.layer({ device: "tensorflow", fpmath })),
    Effect.scoped
  )
  process.stdout.write(JSON.stringify(await Effect.runPromise(reading)))
} else {
  const self = [...process.execArgv, fileURLToPath(import.meta.url), model, file]
  const measure = (at: string): Reading =>
    JSON.parse(execFileSync(process.execPath, [...self, at], { encoding: "utf8", maxBuffer: 1e8 }))
  const [exact, rounded] = [measure("f32"), measure("bf16")]
  const errors = exact.logprobs.map((logprob, i) => Math.abs(logprob - rounded.logprobs[i]))
  const mean = errors.reduce((total, error) => total + error, 0) / errors.length
  process.stdout.write(
    `f32 ${exact.milliseconds.toFixed(0)} ms, bf16 ${rounded.milliseconds.toFixed(0)} ms; log-probabilities of ` +
      `${errors.length} tokens differ by ${mean.toExponential(1)} on average, ${Math.max(...errors).toExponential(1)} at most\n`
  )
}
