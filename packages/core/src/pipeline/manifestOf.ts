import { createHash } from "node:crypto"
import { resolve } from "node:path"
import { Effect, Schema } from "effect"
import { fingerprint } from "../data/Corpus.ts"
import type { CorpusError } from "../data/CorpusError.ts"
import { describe } from "../data/Difficulty.ts"
import type { Tokenizer } from "../data/Tokenizer.ts"
import type { PolicyVersion } from "../rl/Rollout.ts"
import { describeMachine } from "../run/Manifest.ts"
import type { Manifest } from "../run/Manifest.ts"
import { Backend } from "../tensor/Backend.ts"
import type { Pipeline } from "./Pipeline.ts"
import type { LoadedModel } from "./policySource.ts"
import type { RunSettings } from "./RunSettings.ts"

type Json = typeof Schema.Json.Type

/**
 * The manifest of a run: every setting, as data, and the content of all that it reads, by hash. Functions stand by their
 * names.
 */
export const manifestOf = (
  pipeline: Pipeline,
  settings: RunSettings,
  { stored, tokenizer }: LoadedModel,
  version: PolicyVersion,
  command?: Json
): Effect.Effect<Omit<Manifest, "format" | "id">, CorpusError, Backend> =>
  Effect.gen(function* () {
    const { policy, problems, template, sampler, verifier, buffer, optimizer, batch, dynamicSampling, lag } = pipeline
    const { seed, steps, samplers, checkpointEvery, keep, groupsShown } = settings
    const { advantage, ...learning } = optimizer.settings
    const { certificate, ...judging } = verifier.settings
    return {
      startedAt: new Date().toISOString(),
      seed,
      backend: (yield* Backend).name,
      config: asJson({
        objective: "rpt",
        steps,
        samplers,
        checkpointEvery,
        keep,
        groupsShown,
        lag,
        policy: {
          model: "model" in policy ? resolve(policy.model) : tokenizer.name,
          weights: version,
          tokenizer: hashOf(tokenizer),
          config: stored.config
        },
        corpus: yield* fingerprint(problems.corpus),
        problems: { ...problems.settings, entropy: describe(problems.settings.entropy) },
        template,
        sampler: sampler.settings,
        verifier: judging,
        buffer: buffer.settings,
        optimizer: { ...learning, advantage: advantage.name },
        batch,
        dynamicSampling,
        validation: pipeline.validation.map(({ metric, every }) => ({ metric, every }))
      }),
      ...(command === undefined ? {} : { command }),
      ...(certificate === undefined ? {} : { certificate }),
      versions: { foretoken: "0.1.0", node: process.versions.node },
      machine: describeMachine()
    }
  })

/** SHA-256, hex, of all that a tokenizer is made from. */
export const hashOf = ({ files }: Tokenizer): string => {
  const hash = createHash("sha256")
  for (const [name, text] of [...files].toSorted(([a], [b]) => (a < b ? -1 : 1)))
    hash.update(JSON.stringify([name, text]))
  return hash.digest("hex")
}

/** Through JSON and back: settings are plain data, and what JSON cannot say (Infinity: never) becomes null. */
export const asJson = (value: unknown): Json => JSON.parse(JSON.stringify(value))
