/** What an evaluator is asked, as schemas. In process the values go by reference, unencoded. */
import { Schema } from "effect"
import * as Protocol from "../actor/Protocol.ts"
import type { Entropy } from "../data/Difficulty.ts"
import type { Problem as ProblemType } from "../data/NextToken.ts"
import type { PositionRecord } from "../evaluation/nextToken.ts"
import type { Outcome } from "../prompt/Prediction.ts"
import { outcomes } from "../prompt/Prediction.ts"
import { BackendError, CompileError, ExecutionError } from "../tensor/Backend.ts"
import { Problem, TokenizedDocument, WeightsSchema } from "./messages.ts"

/** A position to be asked about, with what is known of it before any model answers. */
export interface HeldOutPosition {
  readonly problem: ProblemType
  /** Nats, by the model that judges difficulty. */
  readonly entropy: number
  readonly tags: ReadonlyArray<string>
}

/** One reasoned answer, beside the record of whether it was right. */
export interface ReasonedRecord extends PositionRecord {
  readonly position: HeldOutPosition
  readonly outcome: Outcome
  /** Raw bytes of the completion. */
  readonly completion: Uint8Array
}

const isOutcome = (value: unknown): value is Outcome => outcomes.some((name) => name === value)
const bytes: Schema.Codec<Uint8Array> = Schema.instanceOf(Uint8Array)

const Position: Schema.Codec<HeldOutPosition> = Schema.Struct({
  problem: Problem,
  entropy: Schema.Number,
  tags: Schema.Array(Schema.String)
})
const recorded = {
  documentId: Schema.String,
  entropy: Schema.Number,
  correct: Schema.Boolean,
  tags: Schema.Array(Schema.String)
}
const Direct: Schema.Codec<PositionRecord> = Schema.Struct(recorded)
const Reasoned: Schema.Codec<ReasonedRecord> = Schema.Struct({
  ...recorded,
  position: Position,
  outcome: Schema.declare(isOutcome),
  completion: bytes
})

const EntropyKind: Schema.Codec<Entropy> = Schema.Union([
  Schema.TaggedStruct("Full", {}),
  Schema.TaggedStruct("TopK", { k: Schema.Int, renormalised: Schema.Boolean })
])

/** Documents that are read together, each with its positions. */
const batch = Schema.Array(Schema.Array(Position))
const error = Schema.Union([CompileError, ExecutionError, BackendError])

/** Every question has all that its answer follows from, so it may be asked again of another incarnation. */
export const EvaluatorProtocol = Protocol.make(
  Protocol.message("Entropies", {
    payload: { weights: WeightsSchema, documents: Schema.Array(TokenizedDocument), entropy: EntropyKind },
    success: Schema.Array(Schema.instanceOf(Float64Array)),
    error
  }),
  Protocol.message("Direct", {
    payload: { weights: WeightsSchema, batch },
    success: Schema.Array(Direct),
    error
  }),
  Protocol.message("Reasoned", {
    payload: { weights: WeightsSchema, batch },
    success: Schema.Array(Reasoned),
    error
  })
)
export type EvaluatorProtocol = typeof EvaluatorProtocol
