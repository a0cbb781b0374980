/** Next-token accuracy of a policy on held-out text: direct (the most probable token) and reasoned (after thinking). */
import { Effect } from "effect"
import type { Scope } from "effect"
import type { Entropy } from "../data/Difficulty.ts"
import type { Problem, TokenizedDocument } from "../data/NextToken.ts"
import { problemAt } from "../data/NextToken.ts"
import type { PositionRecord } from "../evaluation/nextToken.ts"
import type { Sampling } from "../model/generate.ts"
import { makeGenerator } from "../model/Generator.ts"
import { makeScorer } from "../model/Scorer.ts"
import type { WeightsOf } from "../model/Transformer.ts"
import type { Outcome } from "../prompt/Prediction.ts"
import { parse } from "../prompt/Template.ts"
import { matchesPrefix } from "../reward/prefixMatch.ts"
import { rolloutUniforms } from "../random/draw.ts"
import { packTrunk } from "../rl/Batch.ts"
import type { BackendError, Buffer, Value } from "../tensor/Backend.ts"
import { Backend } from "../tensor/Backend.ts"
import type { HostTensor } from "../tensor/HostTensor.ts"
import { makeBoundedProgramCache, programsKept } from "../tensor/ProgramCache.ts"
import { packRequest, trunkMultiple } from "./packRequest.ts"
import { entropiesOf } from "./ProblemSource.ts"
import type { RunContext } from "./RunContext.ts"
import type { StageError } from "./Stage.ts"

export type { PositionRecord } from "../evaluation/nextToken.ts"

/** A position to be asked about, with what is known of it before any model answers. */
export interface HeldOutPosition {
  readonly problem: Problem
  /** Nats, by the model that judges difficulty. */
  readonly entropy: number
  readonly tags: ReadonlyArray<string>
}

/** The positions of one held-out document. */
export type HeldOut = ReadonlyArray<HeldOutPosition>

/** One reasoned answer, beside the record of whether it was right. */
export interface ReasonedRecord extends PositionRecord {
  readonly position: HeldOutPosition
  readonly outcome: Outcome
  /** Raw bytes of the completion. */
  readonly completion: Uint8Array
}

export interface Evaluator {
  /** Weights where the evaluator computes, for the length of the scope: uploaded once, read by every run. */
  readonly upload: (weights: WeightsOf<Value>) => Effect.Effect<WeightsOf<Value>, StageError, Scope.Scope>
  /** Entropies of every position of the documents under these weights: what `heldOut` is chosen by. */
  readonly entropies: (
    weights: WeightsOf<Value>,
    documents: ReadonlyArray<TokenizedDocument>,
    kind: Entropy
  ) => Effect.Effect<ReadonlyArray<Float64Array>, StageError>
  readonly direct: (
    weights: WeightsOf<Value>,
    heldOut: ReadonlyArray<HeldOut>
  ) => Effect.Effect<ReadonlyArray<PositionRecord>, StageError>
  readonly reasoned: (
    weights: WeightsOf<Value>,
    heldOut: ReadonlyArray<HeldOut>
  ) => Effect.Effect<ReadonlyArray<ReasonedRecord>, StageError>
}

export interface EvaluatorOptions {
  readonly context: RunContext
  readonly maxTokens: number
  readonly sampling: Sampling
  readonly documentsPerBatch: number
}

/** An evaluator that computes on a thread of its own where the backend has any: give it weights that it has uploaded. */
export const makeEvaluator = (
  options: EvaluatorOptions
): Effect.Effect<Evaluator, BackendError, Backend | Scope.Scope> =>
  Effect.gen(function* () {
    const { thread } = yield* Backend
    const { backend } = yield* thread({ name: "evaluator" })
    return yield* Effect.provideService(evaluatorHere(options), Backend, backend)
  })

const evaluatorHere = (options: EvaluatorOptions): Effect.Effect<Evaluator, never, Backend | Scope.Scope> =>
  Effect.gen(function* () {
    const backend = yield* Backend
    const { context, maxTokens, sampling, documentsPerBatch } = options
    const { config, frame, seed, stop, template, tokenizer } = context
    const programs = yield* makeBoundedProgramCache(programsKept.sampling)
    const scorer = yield* makeScorer(config, programs)
    const generator = yield* makeGenerator(config, { groupSize: 1, maxTokens, sampling, stop }, programs)

    const directOf = Effect.fnUntraced(function* (weights: WeightsOf<Value>, batch: ReadonlyArray<HeldOut>) {
      const documents = batch.map(([{ problem }]) => problem.document)
      const rows = packTrunk(frame.head, documents, { multiple: trunkMultiple, documents: documentsPerBatch })
      const { argmax } = yield* scorer.score(weights, rows)
      return batch.flatMap((own, d) =>
        own.map((position): PositionRecord => {
          const { anchor, document } = position.problem
          const predicted = argmax[d * rows.length + frame.head.length + anchor - 1]
          return { ...recordOf(position), correct: predicted === document.tokens[anchor] }
        })
      )
    })

    const reasonedOf = Effect.fnUntraced(function* (weights: WeightsOf<Value>, batch: ReadonlyArray<HeldOut>) {
      const problems = batch.map((own) => own.map(({ problem }) => problem))
      const positions = Math.max(...problems.map((own) => own.length))
      const request = packRequest(context, { groupSize: 1, maxTokens }, problems, positions, (problem) =>
        rolloutUniforms(seed, { problem: `evaluation/${problem.id}`, rollout: 0 }, maxTokens)
      )
      const completions = yield* generator.generate(weights, request)
      return batch.flatMap((own, d) =>
        own.map((position, k): ReasonedRecord => {
          const completion = tokenizer.bytesOf(completions[d * positions + k].tokens)
          const prediction = parse(template, completion)
          const correct =
            prediction.outcome === "answered" && matchesPrefix(prediction.bytes, position.problem.continuation)
          return { ...recordOf(position), correct, position, outcome: prediction.outcome, completion }
        })
      )
    })

    const inBatches = <A, E>(
      heldOut: ReadonlyArray<HeldOut>,
      f: (batch: ReadonlyArray<HeldOut>) => Effect.Effect<ReadonlyArray<A>, E>
    ) => {
      const asked = heldOut.filter((own) => own.length > 0)
      return Effect.map(Effect.forEach(cut(asked, documentsPerBatch), f), (all) => all.flat())
    }

    return {
      upload: (weights) => Effect.provideService(uploadWeights(weights), Backend, backend),
      entropies: (weights, documents, entropy) =>
        Effect.map(
          Effect.forEach(cut(documents, documentsPerBatch), (batch) =>
            entropiesOf({ context, scorer, weights, problems: { settings: { entropy } } }, batch)
          ),
          (all) => all.flat()
        ),
      direct: (weights, heldOut) => inBatches(heldOut, (batch) => directOf(weights, batch)),
      reasoned: (weights, heldOut) => inBatches(heldOut, (batch) => reasonedOf(weights, batch))
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

const recordOf = ({ problem, entropy, tags }: HeldOutPosition) => ({ documentId: problem.document.id, entropy, tags })

const cut = <A>(all: ReadonlyArray<A>, size: number): ReadonlyArray<ReadonlyArray<A>> =>
  Array.from({ length: Math.ceil(all.length / size) }, (_, i) => all.slice(i * size, (i + 1) * size))
