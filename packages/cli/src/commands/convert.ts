import { Argument, Flag } from "effect/cli"
import { makeCommand } from "../command.ts"
import * as flags from "../flags.ts"
import { locate } from "../locate.ts"

export const convert = makeCommand({
  name: "convert",
  description:
    "Writes a model in another format: a Hugging Face directory, which transformers and vLLM load, or a GGUF file, for " +
    "llama.cpp. Adapters are merged. The JSON is { out, format, dtype, family, parameters, bytes }.",
  flags: {
    model: Argument.String("in").pipe(
      Argument.mapEffect(locate),
      Argument.withDescription(
        "a Hugging Face directory, the name of a model on the hub, a GGUF file, or a llama2.c checkpoint (its tokenizer.bin " +
          "beside it)"
      )
    ),
    out: Argument.String("out").pipe(
      Argument.withDescription("NAME.gguf for a GGUF file, else a directory; nothing may be there yet")
    ),
    dtype: Flag.Literals("dtype", ["f32", "f16", "bf16", "q8_0"]).pipe(
      flags.usually("f32", "what weights are rounded to, to nearest, ties to even; q8_0 in GGUF files only")
    ),
    maxShardSize: flags
      .bytes("max-shard-size")
      .pipe(
        Flag.withDescription(
          "bytes of weights in one file of a directory; more are written in shards, with an index (default: 50GB)"
        ),
        flags.maybe
      ),
    tokenizer: flags.maybe(
      Flag.String("tokenizer").pipe(
        Flag.withMetavar("DIR|FILE"),
        Flag.withDescription("where the tokenizer lies, if not with the model")
      )
    )
  },
  examples: [
    {
      command: "foretoken convert qwen2.5-0.5b-q4_k_m.gguf qwen",
      description: "A GGUF file as a Hugging Face directory"
    },
    {
      command: "foretoken convert stories15M.bin stories15M",
      description: "A checkpoint of llama2.c, tokenizer.bin beside it"
    },
    {
      command: "foretoken convert runs/first/checkpoints/200 out.gguf --dtype q8_0",
      description: "What was trained, for llama.cpp"
    }
  ],
  load: () => import("../actions/convert.ts")
})
