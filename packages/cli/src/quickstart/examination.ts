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

  const documents = testDocuments(seed, "test", evaluation.documents)
  const entropies = yield* evaluator.entropies(base, documents, Difficulty.full)
  const questions = documents.map((document, d) =>
    positionsOf(context, document, entropies[d], d < evaluation.wholeDocuments)
  )
  const validation = computedPositions(context, testDocuments(seed, "validation", rpt.validationDocuments))

  return {
    direct: (weights: KeptWeights) => evaluator.direct(weights, questions),
    reasoned: (weights: KeptWeights) => evaluator.reasoned(weights, questions),
    validate: (weights: KeptWeights) =>
      Effect.map(
        evaluator.reasoned(weights, validation),
        (records) => records.filter(({ correct }) => correct).length / records.length
      )
  }
})

export type Examination = Effect.Success<ReturnType<typeof makeExamination>>
