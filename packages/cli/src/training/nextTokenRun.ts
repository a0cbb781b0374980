import { makeRunContext, Supervised, Template } from "@foretoken/core"
import type { Backend } from "@foretoken/core"
import * as Effect from "effect/Effect"
import type { Trained, Training } from "../actions/train.ts"
import { endlessWindows, taker } from "./endless.ts"
import { optimizerOf, trainedBy } from "./supervised.ts"

/** Next-token prediction on the documents of a corpus. */
export const nextTokenRun = (training: Training): Effect.Effect<Trained, Error, Backend> =>
  Effect.gen(function* () {
    const { input, corpus, policy } = training
    const { seed } = input
    const { tokenizer } = policy
    const { config } = policy.stored
    // Built-in templates put nothing in front of a text, so this is what the tokenizer puts there.
    const { frame } = makeRunContext({ seed, config, tokenizer, template: Template.compact })
    const maxTokens = Math.min(input.context, config.maxPositions - frame.head.length)
    const windows = endlessWindows(corpus, tokenizer, { maxTokens, seed })
    const next = yield* taker(windows, input.documents ?? 8)
    return yield* trainedBy(training, {
      optimizer: optimizerOf(input, 3e-4),
      batches: () => Effect.map(next, (documents) => [Supervised.nextTokenBatch(frame, documents)]),
      about: {}
    })
  }).pipe(Effect.scoped)
