import { Flag } from "effect/cli"
import { makeCommand } from "../command.ts"
import * as flags from "../flags.ts"

export const quickstart = makeCommand({
  name: "start",
  description:
    "The whole story on a generated corpus, from random weights: next-token pre-training, a format warm-up, reinforcement " +
    "pre-training on plain text, controls matched by time, and a table of held-out accuracy. Six to eleven minutes on two cores.",
  flags: {
    seed: Flag.Int("seed").pipe(Flag.withDescription("every draw follows from it"), Flag.withDefault(1)),
    run: flags.maybe(
      Flag.String("run").pipe(
        Flag.withMetavar("DIR"),
        Flag.withDescription("where the runs of the story go (default: runs/start)")
      )
    ),
    ...flags.backend
  },
  examples: [{ command: "foretoken start --json", description: "The table as JSON" }],
  load: () => import("./action.ts")
})
