import { Flag } from "effect/cli"
import { makeCommand } from "../command.ts"

export const merge = makeCommand({
  name: "merge",
  description:
    "Makes a model of a base model and its adapters: each W becomes W + s B A. The JSON is { out, base, merged }: the " +
    "directory, the one of the base model, and how many weights were changed.",
  flags: {
    adapters: Flag.String("adapters").pipe(
      Flag.withMetavar("DIR"),
      Flag.withDescription("adapter_config.json and adapter_model.safetensors: a checkpoint of --lora-rank, or PEFT's")
    ),
    out: Flag.String("out").pipe(
      Flag.withMetavar("DIR"),
      Flag.withDescription("where the model goes, in f32; it must not exist")
    )
  },
  examples: [
    {
      command: "foretoken merge --adapters runs/first/checkpoints/200 --out merged",
      description: "What was trained as adapters, as a model of its own"
    }
  ],
  load: () => import("../actions/merge.ts")
})
