import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { Problem } from "../data/NextToken.ts"
import type { ParsedGroup } from "../rl/Group.ts"
import type { BackendError, CompileError, ExecutionError } from "../tensor/Backend.ts"

export type TruthError = BackendError | CompileError | ExecutionError

/**
 * How probable a model finds the way the text really goes on. `tokens` says how many of the true tokens from the anchor
 * on, fewer where the document ends before; a value is the sum of their log-probabilities (nats, temperature 1).
 */
export class Truth extends Context.Service<
  Truth,
  {
    /**
     * log p(true tokens | context, thought), one per rollout: the policy reads the context, the template's tail, the
     * rollout's thought and what opens an answer, then the true tokens. A thought that never ended is ended where it was
     * cut off. NaN where a model with learned positions has none for so many tokens.
     */
    readonly afterThought: (group: ParsedGroup, tokens: number) => Effect.Effect<ReadonlyArray<number>, TruthError>
    /** log p(true tokens | context) of the baseline, which has no thought and whose weights trail those of the policy. */
    readonly baseline: (problem: Problem, tokens: number) => Effect.Effect<number, TruthError>
  }
>()("@foretoken/core/Truth") {}
