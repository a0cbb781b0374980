import { Argument, Flag } from "effect/cli"
import { makeCommand } from "../command.ts"
import * as flags from "../flags.ts"

export const resume = makeCommand({
  name: "resume",
  description:
    "Goes on with a run of any objective that ended before it was done, however it ended: from its last durable " +
    "point, to the weights that it would have come to, bit for bit. Model, corpus and reward are those of `foretoken train`, and " +
    "must be what they were. The JSON is that of train with from, the step it went on from, and hadEnded.",
  flags: {
    run: Argument.String("run").pipe(Argument.withDescription("the directory of the run")),
    samplers: flags.maybe(
      flags
        .whole("samplers", 1, 64)
        .pipe(Flag.withDescription("rpt: actors that sample side by side; never changes results (default: as before)"))
    ),
    model: flags.maybe(
      flags.modelFlag.pipe(
        Flag.withMetavar("DIR|FILE|ORG/NAME"),
        Flag.withDescription(
          "where the model lies now that it began with, if no longer where it was; the same weights, bit for bit"
        )
      )
    ),
    corpus: flags.maybe(
      flags.corpus.pipe(
        Flag.withMetavar("FILE"),
        Flag.withDescription("where the corpus lies now, if no longer where it was; the same text, byte for byte")
      )
    ),
    elsewhere: Flag.Boolean("elsewhere").pipe(
      Flag.withDescription(
        "goes on under another version, processor or number of cores, too: the weights then need not be the same to the last bit"
      ),
      Flag.withoutNegation,
      Flag.withDefault(false)
    )
  },
  examples: [{ command: "foretoken resume runs/first", description: "After a crash, a full disk, or Ctrl-C" }],
  load: () => import("../actions/resume.ts")
})
