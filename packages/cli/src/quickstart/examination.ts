import { Difficulty, Evaluator } from "@foretoken/core"
import type { RunContext, KeptWeights } from "@foretoken/core"
import { Effect } from "effect"
import { computedPositions, positionsOf, testDocuments } from "./heldOut.ts"
import type { Recipe } from "./recipe.ts"

/**
 * The held-out text and the questions about it. Difficulty is judged once, by the base model, for every arm alike; the
 * best checkpoint is chosen on validation documents, and what is reported comes from test documents.
 */
export const makeExamination = Effect.fnUntraced(function* (context: RunContext, recipe: Recipe, base: KeptWeights) {
  const { seed, rpt, evaluation } = recipe
  const evaluator = yield* Evaluator.makeEvaluator({
    context,
    maxTokens: rpt.maxTokens,
    sampling: { _tag: "greedy" },
    documentsPerBatch: 20
  })
  const withWeights = <A, E, R>(weights: KeptWeights, f: (uploaded: Uploaded) => Effect.Effect<A, E, R>) =>
    Effect.scoped(Effect.flatMap(evaluator.upload(weights), f))

  const documents = testDocuments(seed, "test", evaluation.documents)
  const entropies = yield* withWeights(base, (weights) => evaluator.entropies(weights, documents, Difficulty.full))
  const questions = documents.map((document, d) =>
    positionsOf(context, document, entropies[d], d < evaluation.wholeDocuments)
  )
  const validation = computedPositions(context, testDocuments(seed, "validation", rpt.validationDocuments))

  return {
    direct: (weights: KeptWeights) => withWeights(weights, (uploaded) => evaluator.direct(uploaded, questions)),
    reasoned: (weights: KeptWeights) => withWeights(weights, (uploaded) => evaluator.reasoned(uploaded, questions)),
    validate: (weights: KeptWeights) =>
      Effect.map(
        withWeights(weights, (uploaded) => evaluator.reasoned(uploaded, validation)),
        (records) => records.filter(({ correct }) => correct).length / records.length
      )
  }
})

export type Examination = Effect.Success<ReturnType<typeof makeExamination>>
type Uploaded = Effect.Success<ReturnType<Evaluator.Evaluator["upload"]>>
