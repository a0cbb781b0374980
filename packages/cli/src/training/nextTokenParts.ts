import { Corpus, makeRunContext, Supervised, Template } from "@foretoken/core"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Training } from "../actions/train.ts"
import { endlessWindows, taker } from "./endless.ts"
import { optimizerOf } from "./supervisedParts.ts"
import type { SupervisedParts } from "./supervisedParts.ts"

/** Next-token prediction on the documents of a corpus. */
export const nextTokenParts = Effect.fnUntraced(function* ({
  input,
  corpus,
  policy
}: Training): Effect.fn.Return<SupervisedParts, Error, Scope.Scope> {
  const { seed, documents = 8 } = input
  const { tokenizer } = policy
  const { config } = policy.stored
  // Built-in templates put nothing in front of a text, so this is what the tokenizer puts there.
  const { frame } = makeRunContext({ seed, config, tokenizer, template: Template.compact })
  const maxTokens = Math.min(input.context, config.maxPositions - frame.head.length)
  const windows = endlessWindows(corpus, tokenizer, { maxTokens, seed })
  const windowsOf = yield* taker(windows, documents)
  return {
    optimizer: optimizerOf(input, 3e-4),
    batches: (step: number) => Effect.map(windowsOf(step), (windows) => [Supervised.nextTokenBatch(frame, windows)]),
    about: { corpus: yield* Corpus.fingerprint(corpus), documents, context: maxTokens }
  }
})
