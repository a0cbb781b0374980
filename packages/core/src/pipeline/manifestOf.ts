import type { Schema } from "effect"
import { describe } from "../data/Difficulty.ts"
import { describeMachine } from "../run/Manifest.ts"
import type { Manifest } from "../run/Manifest.ts"
import type { Pipeline } from "./Pipeline.ts"

/** The manifest of a run: every setting, as data. Functions and streams stand by their names. */
export const manifestOf = (
  pipeline: Pipeline,
  { steps, seed, samplers }: { readonly steps: number; readonly seed: number; readonly samplers: number },
  backend: string
): Omit<Manifest, "format" | "id"> => {
  const { policy, problems, template, sampler, verifier, buffer, optimizer, batch, dynamicSampling } = pipeline
  const { advantage, ...learning } = optimizer.settings
  const { certificate, ...judging } = verifier.settings
  return {
    startedAt: new Date().toISOString(),
    seed,
    backend,
    config: asJson({
      objective: "rpt",
      steps,
      samplers,
      policy: "stored" in policy ? { model: policy.tokenizer.name, config: policy.stored.config } : policy,
      corpus: { name: problems.corpus.name, kind: problems.corpus._tag },
      problems: { ...problems.settings, entropy: describe(problems.settings.entropy) },
      template,
      sampler: sampler.settings,
      verifier: judging,
      buffer: buffer.settings,
      optimizer: { ...learning, advantage: advantage.name },
      batch,
      dynamicSampling
    }),
    ...(certificate === undefined ? {} : { certificate }),
    versions: { foretoken: "0.1.0", node: process.versions.node },
    machine: describeMachine()
  }
}

/** Through JSON and back: settings are plain data, and what JSON cannot say (Infinity: never) becomes null. */
const asJson = (value: unknown): typeof Schema.Json.Type => JSON.parse(JSON.stringify(value))
