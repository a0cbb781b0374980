/** What a checkpoint holds beside policy and optimizer, so that a run goes on from it as if it had never stopped. */
import { Effect, Schema } from "effect"
import { hashWeights } from "../model/weights.ts"
import type { KeptWeights, WeightsError } from "../model/weights.ts"
import { PolicyVersion } from "../rl/Rollout.ts"
import type { Checkpoint } from "../run/Checkpoint.ts"
import { RunError } from "../run/Run.ts"
import type { Baseline, Policy } from "./messages.ts"
import type { Pipeline } from "./Pipeline.ts"
import { Position } from "./ProblemSource.ts"
import type { Progress } from "./Progress.ts"

const Saved = Schema.Struct({
  step: Schema.Int,
  updates: Schema.Int,
  problems: Position,
  /** Policies before the one of the checkpoint that steps are yet to be sampled with, the oldest first. */
  earlier: Schema.Array(Schema.Struct({ version: PolicyVersion, updates: Schema.Int })),
  /** Of a reward that asks the model; `weights` is their hash. */
  baseline: Schema.optionalKey(Schema.Struct({ version: PolicyVersion, weights: Schema.String }))
})

/** As a checkpoint keeps it: JSON, and weights by their hash. */
export const savedProgress = Effect.fnUntraced(function* (
  pipeline: Pick<Pipeline, "verifier" | "lag">,
  { step, recent, sampling }: Progress,
  updates: number,
  steps: number
): Effect.fn.Return<Pick<Checkpoint, "progress" | "others">, WeightsError> {
  const { problems, baseline } = sampling
  // After the last step nothing is sampled any more.
  const earlier = step < steps ? recent.slice(0, -1) : []
  const current = recent[recent.length - 1].version
  const others: Record<string, KeptWeights> = {}
  for (const { version, weights } of earlier) if (version !== current) others[version] = weights
  const saved = { step, updates, problems, earlier: earlier.map(({ version, updates }) => ({ version, updates })) }
  if (pipeline.verifier.settings.baselineDecay === undefined) return { progress: saved, others }
  const hash = yield* hashWeights(baseline.weights)
  if (hash !== current) others[hash] = baseline.weights
  return { progress: { ...saved, baseline: { version: baseline.version, weights: hash } }, others }
})

/** Back again: `current` is the checkpoint's own policy. */
export const progressOf = Effect.fnUntraced(function* (
  { directory, progress, others, model, weightsHash, optimizer }: Checkpoint & { readonly directory: string },
  metrics: Progress["metrics"]
) {
  const invalid = (reason: string) => new RunError({ path: directory, reason })
  const saved = yield* Effect.mapError(Schema.decodeUnknownEffect(Saved)(progress), ({ message }) =>
    invalid(`its progress is not that of a run that can be resumed: ${message.replaceAll(/\s*\n\s*/g, " ")}`)
  )
  const weightsOf = (hash: string): Effect.Effect<KeptWeights, RunError> => {
    if (hash === weightsHash) return Effect.succeed(model.weights)
    return Object.hasOwn(others, hash)
      ? Effect.succeed(others[hash])
      : Effect.fail(invalid(`the weights ${hash} are not there, and steps are to be sampled with them`))
  }
  const earlier = yield* Effect.forEach(saved.earlier, ({ version, updates }) =>
    Effect.map(weightsOf(version), (weights): Policy => ({ version, updates, weights }))
  )
  const current: Policy = {
    version: PolicyVersion.make(weightsHash),
    updates: saved.updates,
    weights: model.weights
  }
  const baseline: Baseline =
    saved.baseline === undefined
      ? current
      : { version: saved.baseline.version, weights: yield* weightsOf(saved.baseline.weights) }
  const [first, ...rest] = [...earlier, current]
  return {
    step: saved.step,
    recent: [first, ...rest] as const,
    sampling: { problems: saved.problems, baseline, asideInARow: 0 },
    metrics,
    optimizer: { updates: saved.updates, moments: optimizer }
  }
})
