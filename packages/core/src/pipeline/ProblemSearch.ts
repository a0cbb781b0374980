import { Effect, Schema, Scope } from "effect"
import * as Protocol from "../actor/Protocol.ts"
import { CorpusError } from "../data/CorpusError.ts"
import { NothingEligible } from "../data/Problems.ts"
import type { KeptModel } from "../model/ModelDirectory.ts"
import { makeScorer } from "../model/Scorer.ts"
import { CompileError, ExecutionError } from "../tensor/Backend.ts"
import { makeBoundedProgramCache, programsKept } from "../tensor/ProgramCache.ts"
import { uploadWeights } from "./Evaluator.ts"
import { Unit } from "./messages.ts"
import { makeProblemSource, Position } from "./ProblemSource.ts"
import type { ProblemSourceOptions } from "./ProblemSource.ts"

/**
 * A position of the problem stream in, the unit behind it out. Where the stream stands is the asker's to keep: a search that
 * died has lost nothing, and an answer that was lost is given again.
 */
export const ProblemSearchProtocol = Protocol.make(
  Protocol.message("Next", {
    payload: { after: Position },
    success: Schema.Struct({
      unit: Unit,
      position: Position,
      /** Documents passed over so far. */
      skipped: Schema.Struct({ tooShort: Schema.Int, tooEasy: Schema.Int })
    }),
    error: Schema.Union([CorpusError, NothingEligible, CompileError, ExecutionError])
  })
)
export type ProblemSearchProtocol = typeof ProblemSearchProtocol

export interface ProblemSearchOptions extends Omit<ProblemSourceOptions, "scorer" | "weights"> {
  /** The one that a run starts from judges its problems, whatever becomes of it. */
  readonly model: Pick<KeptModel, "config" | "weights">
}

/** The handlers of each incarnation: a later one begins where the stream was asked for last. */
export const makeProblemSearch = ({ model, from, ...options }: ProblemSearchOptions) => {
  let last = from
  return Effect.gen(function* () {
    const scope = yield* Effect.scope
    const scorer = yield* makeScorer(model.config, yield* makeBoundedProgramCache(programsKept.scoring))
    const weights = yield* uploadWeights(model.weights)
    const openAt = (from: Position) => Scope.provide(makeProblemSource({ ...options, scorer, weights, from }), scope)
    let source = yield* openAt(last)
    return {
      Next: Effect.fnUntraced(function* ({ after }: { readonly after: Position }) {
        last = after
        if (source.position().unit !== after.unit) source = yield* openAt(after)
        const unit = yield* source.next
        return { unit, position: source.position(), skipped: source.skipped() }
      })
    }
  })
}
