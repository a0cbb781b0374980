import { Flag } from "effect/cli"
import { makeCommand } from "../command.ts"
import * as flags from "../flags.ts"

export const score = makeCommand({
  name: "score",
  description:
    "Reads a text under a model: log-probability of each next token, argmax and entropy (nats), and the totals nll (mean), " +
    "accuracy, tokens. Give exactly one of --text, --ids, --corpus. The JSON is { ids, logprobs, argmax, entropy, " +
    "entropyTop16: { raw, renormalised }, nll, accuracy, tokens }; logprobs[i] is that of ids[i + 1]. Of a corpus it is " +
    "the totals and documents; --windows adds the arrays of each window.",
  flags: {
    model: flags.model,
    storage: flags.storage,
    text: flags.maybe(
      Flag.String("text").pipe(
        Flag.withMetavar("S"),
        Flag.withDescription("a text; what the tokenizer puts in front (<s>) is added")
      )
    ),
    ids: flags.maybe(
      Flag.String("ids").pipe(Flag.withMetavar("1,2,3"), Flag.withDescription("token ids, taken as they are"))
    ),
    corpus: flags.maybe(flags.corpus),
    field: flags.field,
    windows: Flag.Boolean("windows").pipe(
      Flag.withDescription("of a corpus: the arrays of every window too, in memory until the end"),
      Flag.withDefault(false)
    ),
    maxTokens: flags.maybe(
      flags
        .whole("max-tokens", 2)
        .pipe(
          Flag.withDescription(
            "of a corpus: tokens of a window, at most the model's positions; a longer document is cut (default: 1024)"
          )
        )
    ),
    ...flags.backend
  },
  examples: [
    {
      command: 'foretoken score --model DIR --text "Once upon a time"',
      description: "A line per token, and the totals"
    },
    { command: "foretoken score --model DIR --corpus gsm8k.jsonl --field answer --json", description: "A whole corpus" }
  ],
  load: () => import("../actions/score.ts")
})
