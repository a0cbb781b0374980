import { makeRunContext, Supervised } from "@foretoken/core"
import type { Backend } from "@foretoken/core"
import * as Effect from "effect/Effect"
import type { Trained, Training } from "../actions/train.ts"
import { taker } from "./endless.ts"
import { endlessExamples } from "./examples.ts"
import { optimizerOf, trainedBy } from "./supervised.ts"
import { templateOf } from "./template.ts"

/** Completions as they should be, with the text beside them as half of the loss again. */
export const supervisedRun = (training: Training): Effect.Effect<Trained, Error, Backend> =>
  Effect.gen(function* () {
    const { input, policy } = training
    const { tokenizer } = policy
    const template = yield* templateOf(input.template, tokenizer)
    const context = makeRunContext({ seed: input.seed, config: policy.stored.config, tokenizer, template })
    const examples = yield* endlessExamples(training, context)
    const next = yield* taker(examples, input.documents ?? 8)
    return yield* trainedBy(training, {
      optimizer: optimizerOf(input, 1e-5),
      batches: () => Effect.map(next, (taken) => [Supervised.supervisedBatch(context.frame, taken, trunkWeight)]),
      about: { template: template.name, noise: input.noise, trunkWeight }
    })
  }).pipe(Effect.scoped)

const trunkWeight = 0.5
