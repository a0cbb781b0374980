import { Flag } from "effect/cli"
import { makeCommand } from "../command.ts"
import * as flags from "../flags.ts"

export const evaluate = makeCommand({
  name: "eval",
  description:
    "Next-token accuracy of a model on a text, by difficulty. That is the entropy of the 16 likeliest tokens under this " +
    "model; intervals are 95 % bootstrap intervals over documents. direct: the likeliest token; with --reasoned also after thinking, at the " +
    "same positions. The JSON is { corpus, backend, documents, skipped, positions, entropy, template, winnability, direct, " +
    "reasoned?, difference?, outcomes? }; a table is { all, nested, disjoint, tags }, a row { name, from, to, estimate, low, high, " +
    "count, clusters }.",
  flags: {
    model: flags.model,
    corpus: flags.corpus,
    field: flags.field,
    documents: flags.whole("documents", 1).pipe(flags.usually(64, "documents that are read, from the first on")),
    minContext: flags.whole("min-context", 1).pipe(flags.usually(16, "tokens that must precede a position")),
    context: flags.whole("context", 2).pipe(flags.usually(512, "tokens of a document that are read")),
    positions: flags.maybe(
      flags
        .whole("positions", 1)
        .pipe(Flag.withDescription("positions of a document, drawn (default: all; with --reasoned 8)"))
    ),
    reasoned: Flag.Boolean("reasoned").pipe(
      Flag.withDescription("lets the model think at every position, too"),
      Flag.withDefault(false)
    ),
    template: flags.template,
    maxTokens: flags.whole("max-tokens", 1).pipe(flags.usually(64, "--reasoned: tokens of the longest completion")),
    temperature: flags.temperature(0),
    seed: flags.seed,
    ...flags.backend
  },
  examples: [
    { command: "foretoken eval --model DIR --corpus gsm8k.jsonl --field answer", description: "Direct accuracy" },
    {
      command: "foretoken eval --model DIR --corpus dials --reasoned",
      description: "With thoughts, on the generated corpus"
    }
  ],
  load: () => import("../actions/eval.ts")
})
