import { Corpus, makeRunContext, Supervised } from "@foretoken/core"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Training } from "../actions/train.ts"
import { taker } from "./endless.ts"
import { endlessExamples } from "./examples.ts"
import { optimizerOf } from "./supervisedParts.ts"
import type { SupervisedParts } from "./supervisedParts.ts"
import { templateOf } from "./template.ts"

/** Completions as they should be, with the text beside them as half of the loss again. */
export const completionParts = Effect.fnUntraced(function* (
  training: Training
): Effect.fn.Return<SupervisedParts, Error, Scope.Scope> {
  const { input, corpus, policy } = training
  const { seed, noise, completionField, documents = 8 } = input
  const { tokenizer } = policy
  const template = yield* templateOf(input.template, tokenizer)
  const context = makeRunContext({ seed, config: policy.stored.config, tokenizer, template })
  const examplesOf = yield* taker(yield* endlessExamples(training, context), documents)
  return {
    optimizer: optimizerOf(input, 1e-5),
    batches: (step: number) =>
      Effect.map(examplesOf(step), (examples) => [Supervised.supervisedBatch(context.frame, examples, trunkWeight)]),
    about: {
      corpus: yield* Corpus.fingerprint(corpus),
      completionField,
      documents,
      template: template.name,
      noise,
      trunkWeight
    }
  }
})

const trunkWeight = 0.5
