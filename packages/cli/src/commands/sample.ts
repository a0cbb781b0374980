import { Flag } from "effect/cli"
import { makeCommand } from "../command.ts"
import * as flags from "../flags.ts"

export const sample = makeCommand({
  name: "sample",
  description:
    "Goes on from a prompt, several times. The JSON is { prompt, ids, rollouts: [{ text, tokens, logprobs, ended }] }: " +
    "logprobs (nats) of the drawn tokens under the distribution they were drawn from; ended is stop or length.",
  flags: {
    model: flags.model,
    storage: flags.storage,
    prompt: Flag.String("prompt").pipe(Flag.withMetavar("S"), Flag.withDescription("what the rollouts go on from")),
    template: flags.maybe(
      Flag.Literals("template", flags.templateNames).pipe(
        Flag.withDescription("asks what comes next in this template, instead of going on from the prompt")
      )
    ),
    n: flags.whole("n", 1, 4096).pipe(flags.usually(8, "rollouts")),
    tokens: flags.whole("tokens", 1).pipe(flags.usually(64, "tokens of the longest rollout")),
    temperature: flags.temperature(0.8),
    seed: flags.seed,
    ...flags.backend
  },
  examples: [
    { command: 'foretoken sample --model DIR --prompt "Once upon a time" --n 4', description: "Four stories" }
  ],
  load: () => import("../actions/sample.ts")
})
