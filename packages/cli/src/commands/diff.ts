import { Flag } from "effect/cli"
import { makeCommand } from "../command.ts"
import * as flags from "../flags.ts"

export const diff = makeCommand({
  name: "diff",
  description:
    "Runs one program on two backends and tells primitive by primitive where they part: each one's own error, on the same " +
    "inputs and against float64, apart from what it has inherited, and the first that is out of tolerance. The JSON is " +
    "{ backends, program, tokens, tolerance, first, ops: [{ index, op, type, at, largest, own: [{ error, ratio }, ...], " +
    "inherited }] }; a ratio above 1 is out of tolerance, first is null where there is none. The exit code is 1 where there is one.",
  flags: {
    model: flags.model,
    backends: Flag.String("backends").pipe(
      Flag.withMetavar("A,B"),
      flags.usually("reference,onnx", "two of onnx, tfjs, reference; a device may follow: onnx:webgpu, tfjs:wasm")
    ),
    text: flags.maybe(
      Flag.String("text").pipe(Flag.withMetavar("S"), Flag.withDescription("what is read (default: drawn tokens)"))
    ),
    tokens: flags.whole("tokens", 2).pipe(flags.usually(16, "tokens that are read at most")),
    gradient: Flag.Boolean("gradient").pipe(
      Flag.withDescription("the loss of next-token prediction with the gradient in every weight, instead of a reading"),
      Flag.withoutNegation,
      Flag.withDefault(false)
    ),
    tolerance: flags
      .positive("tolerance")
      .pipe(flags.usually(2e-6, "relative error that each rounded operation may make in its inputs and its result")),
    all: Flag.Boolean("all").pipe(
      Flag.withDescription("shows every primitive, and not only the twelve nearest to their tolerance"),
      Flag.withoutNegation,
      Flag.withDefault(false)
    )
  },
  examples: [
    {
      command: "foretoken diff --model DIR --backends onnx,tfjs",
      description: "Two backends on the model's forward pass"
    },
    {
      command: "foretoken diff --model DIR --backends reference,tfjs:wasm --gradient",
      description: "WebAssembly beside float64, on a step of training"
    }
  ],
  load: () => import("../actions/diff.ts")
})
