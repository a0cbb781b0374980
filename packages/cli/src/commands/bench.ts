import { Flag } from "effect/cli"
import { makeCommand } from "../command.ts"
import * as flags from "../flags.ts"

/** The model of the measurements in docs/experiments.md. */
const usualModel = "sizes:4,256,8,768,1024"

const count = (name: string, usual: number, what: string) => flags.whole(name, 1).pipe(flags.usually(usual, what))

export const bench = makeCommand({
  name: "bench",
  description:
    "Measures a step of RPT on random tokens: documents x positions x group rollouts through the actors that a run has. " +
    "The JSON has stepSeconds and phases (median, min, max), rolloutsPerSecond, decodeTokensPerSecond, " +
    "trainTokensPerSecond, flops, ceilingGflops (the backend's own 1024 x 1024 product, in the same run) and " +
    "shareOfCeiling, paddingShare, messages, timerLagMs, logprobGap, rssBytes.",
  flags: {
    model: flags.modelFlag.pipe(
      Flag.withMetavar("DIR|FILE|ORG/NAME|preset:NAME|sizes:LAYERS,D,HEADS,FFN,VOCAB"),
      flags.usually(usualModel, "a Hugging Face directory, a GGUF file, a llama2.c checkpoint, or a new model")
    ),
    workload: Flag.Literals("workload", ["step", "train", "decode"]).pipe(
      flags.usually("step", "step; or next-token training, or decoding, of --batch sequences of --length tokens")
    ),
    slope: Flag.Boolean("slope").pipe(
      Flag.withDescription("what one more rollout costs at contexts of 64, 128, 256 and 512 tokens"),
      Flag.withDefault(false)
    ),
    documents: count("documents", 2, "trunks of a step"),
    positions: count("positions", 4, "anchors of a document"),
    group: flags.whole("group", 2).pipe(flags.usually(8, "rollouts of an anchor")),
    context: count("context", 192, "tokens of a trunk; anchors stand in its second half"),
    tokens: count("tokens", 32, "of each rollout"),
    unit: flags.maybe(
      flags.whole("unit", 1).pipe(Flag.withDescription("documents that go through the model at a time (default: all)"))
    ),
    batch: flags.maybe(
      flags.whole("batch", 1).pipe(Flag.withDescription("sequences of --workload train (default: 32), decode (64)"))
    ),
    length: flags.maybe(
      flags.whole("length", 2).pipe(Flag.withDescription("tokens of each: train (default: 128), decode (64)"))
    ),
    steps: count("steps", 5, "measured, after two of warm-up"),
    threads: flags.maybe(
      flags.whole("threads", 1).pipe(Flag.withDescription("of one operator, on onnx (default: all cores)"))
    ),
    seed: flags.seed,
    ...flags.backend
  },
  examples: [
    { command: "foretoken bench --model DIR", description: "64 rollouts of 32 tokens on 2 documents of 192" },
    { command: "foretoken bench --slope --model DIR", description: "Does a rollout cost the same after a long text?" },
    { command: "foretoken bench --workload train --json", description: "The plain training step" }
  ],
  load: () => import("../actions/bench.ts")
})
