import { Argument, Flag } from "effect/cli"
import { makeCommand } from "../command.ts"
import * as flags from "../flags.ts"

export const replay = makeCommand({
  name: "replay",
  description:
    "Reads a stored run again. Alone it walks the ledger: problems, rollouts, policy versions, verdicts, advantages, each rollout's " +
    "share of the gradient, what was set aside and why. With " +
    "--reward it scores the stored rollouts under another reward, without sampling, and shows which verdicts and advantages " +
    "flip. The JSON is { run, reward, steps: [{ step, policy, problems: [{ id, context, truth, learned, rollouts }], aside }] }, with " +
    "--reward { run, reward, under, groups, rollouts, verdicts: { changed }, advantages: { changed, flipped }, mean: { " +
    "before, after }, steps, examples }; an example has before and after, each { value, advantage }.",
  flags: {
    run: Argument.String("run").pipe(Argument.withDescription("the directory of a run of reinforcement pre-training")),
    reward: flags.maybe(
      Flag.String("reward").pipe(
        Flag.withMetavar("NAME|FILE.ts"),
        Flag.withDescription("a built-in reward, or the default export of a file")
      )
    ),
    step: flags.maybe(flags.whole("step", 1).pipe(Flag.withDescription("this step alone (default: all)"))),
    examples: flags.whole("examples", 0).pipe(flags.usually(5, "with --reward: flips that are shown"))
  },
  examples: [
    { command: "foretoken replay runs/first", description: "What happened, step by step" },
    { command: "foretoken replay runs/first --reward my-reward.ts", description: "What another reward would have said" }
  ],
  load: () => import("../actions/replay.ts")
})
