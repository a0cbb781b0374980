/**
 * Next-token accuracy of a policy on held-out text: direct (the most probable token) and reasoned (after thinking). An evaluator is
 * an actor of its own, with its thread: a question that the thread dies over is asked again.
 */
import { Duration, Effect } from "effect"
import type { Scope } from "effect"
import * as Restart from "../actor/Restart.ts"
import * as Supervisor from "../actor/Supervisor.ts"
import type { ActorCrashed, ActorStopped } from "../actor/index.ts"
import type { Entropy } from "../data/Difficulty.ts"
import type { TokenizedDocument } from "../data/NextToken.ts"
import { problemAt } from "../data/NextToken.ts"
import type { PositionRecord } from "../evaluation/nextToken.ts"
import type { KeptWeights } from "../model/weights.ts"
import type { WeightsOf } from "../model/Transformer.ts"
import type { BackendError, Buffer, Value } from "../tensor/Backend.ts"
import { Backend } from "../tensor/Backend.ts"
import type { HostTensor } from "../tensor/HostTensor.ts"
import { makeEvaluation } from "./evaluation.ts"
import type { EvaluationOptions } from "./evaluation.ts"
import { EvaluatorProtocol } from "./evaluatorProtocol.ts"
import type { HeldOutPosition, ReasonedRecord } from "./evaluatorProtocol.ts"
import { onThread } from "./onThread.ts"
import type { RunContext } from "./RunContext.ts"
import { standardTimeLimit } from "./RunSettings.ts"
import type { StageError } from "./Stage.ts"
import { steadfast } from "./steadfast.ts"

export type { PositionRecord } from "../evaluation/nextToken.ts"
export type { HeldOutPosition, ReasonedRecord } from "./evaluatorProtocol.ts"

/** The positions of one held-out document. */
export type HeldOut = ReadonlyArray<HeldOutPosition>

export type EvaluatorError = StageError | ActorCrashed | ActorStopped

/** Weights that were asked about last stay where it computes, so that the next question about the same ones moves none. */
export interface Evaluator {
  /** Entropies of every position of the documents under these weights: what `heldOut` is chosen by. */
  readonly entropies: (
    weights: KeptWeights,
    documents: ReadonlyArray<TokenizedDocument>,
    kind: Entropy
  ) => Effect.Effect<ReadonlyArray<Float64Array>, EvaluatorError>
  readonly direct: (
    weights: KeptWeights,
    heldOut: ReadonlyArray<HeldOut>
  ) => Effect.Effect<ReadonlyArray<PositionRecord>, EvaluatorError>
  readonly reasoned: (
    weights: KeptWeights,
    heldOut: ReadonlyArray<HeldOut>
  ) => Effect.Effect<ReadonlyArray<ReasonedRecord>, EvaluatorError>
}

export interface EvaluatorOptions extends EvaluationOptions {
  /** What a batch of documents may take before the evaluator counts as stuck and is restarted. Default: an hour. */
  readonly timeLimit?: Duration.Input
}

/** Computes on a thread of its own where the backend has any. */
export const makeEvaluator = ({
  timeLimit = standardTimeLimit,
  ...options
}: EvaluatorOptions): Effect.Effect<Evaluator, BackendError | ActorStopped, Backend | Scope.Scope> =>
  Effect.gen(function* () {
    const backend = yield* Backend
    const restart = Restart.standard
    const supervisor = yield* Supervisor.make({ name: "evaluation", strategy: "one-for-one", restart })
    const actor = yield* supervisor.spawn(EvaluatorProtocol, {
      name: "evaluator",
      capacity: 1,
      restart,
      timeLimit,
      make: Effect.provideService(onThread("evaluator", makeEvaluation(options)), Backend, backend)
    })
    const { ask } = steadfast(supervisor, actor)

    const inBatches = <A, B, E>(
      all: ReadonlyArray<A>,
      f: (batch: ReadonlyArray<A>) => Effect.Effect<ReadonlyArray<B>, E>
    ) => Effect.map(Effect.forEach(cut(all, options.documentsPerBatch), f), (found) => found.flat())
    const asked = (heldOut: ReadonlyArray<HeldOut>) => heldOut.filter((own) => own.length > 0)
    return {
      entropies: (weights, documents, entropy) =>
        inBatches(documents, (batch) => ask("Entropies", { weights, documents: batch, entropy })),
      direct: (weights, heldOut) => inBatches(asked(heldOut), (batch) => ask("Direct", { weights, batch })),
      reasoned: (weights, heldOut) => inBatches(asked(heldOut), (batch) => ask("Reasoned", { weights, batch }))
    }
  })

/** The positions of a document at some anchors, with entropies and tags. */
export const heldOutAt = (
  { tokenizer }: Pick<RunContext, "tokenizer">,
  document: TokenizedDocument,
  anchors: ReadonlyArray<number>,
  horizon: number,
  about: (anchor: number) => Pick<HeldOutPosition, "entropy" | "tags">
): HeldOut => anchors.map((anchor) => ({ problem: problemAt(tokenizer, document, anchor, horizon), ...about(anchor) }))

/** Weights on the backend for the length of the scope: uploaded once, read by every run. */
export const uploadWeights = <A extends Value>(
  weights: WeightsOf<A>
): Effect.Effect<WeightsOf<Value>, StageError, Backend | Scope.Scope> =>
  Effect.flatMap(Backend, (backend) => {
    const upload = (value: Value): Effect.Effect<Value, StageError, Scope.Scope> =>
      "_tag" in value ? Effect.succeed<Buffer>(value) : backend.upload(value)
    const uploads = Object.fromEntries(Object.entries(weights).map(([name, value]) => [name, upload(value)]))
    return Effect.all(uploads, { concurrency: 2 })
  })

/**
 * The same of weights that nobody else reads: each leaves the host's memory once the backend has it, so that they are never there
 * twice. What was given is empty afterwards.
 */
export const moveWeights = (
  weights: WeightsOf<HostTensor>
): Effect.Effect<WeightsOf<Value>, StageError, Backend | Scope.Scope> =>
  Effect.gen(function* () {
    const backend = yield* Backend
    const moved: Record<string, Value> = {}
    for (const [name, value] of Object.entries(weights)) {
      moved[name] = yield* backend.upload(value)
      letGo(value)
    }
    return moved
  })

/** Memory that other tensors lie in too stays. */
const letGo = ({ data }: HostTensor): void => {
  const { buffer, byteLength } = data
  if (buffer instanceof ArrayBuffer && byteLength === buffer.byteLength) buffer.transfer(0)
}

const cut = <A>(all: ReadonlyArray<A>, size: number): ReadonlyArray<ReadonlyArray<A>> =>
  Array.from({ length: Math.ceil(all.length / size) }, (_, i) => all.slice(i * size, (i + 1) * size))
