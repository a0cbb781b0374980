/** What `foretoken train` was asked for: as the manifest of a run keeps it, so that `foretoken resume` can make the parts again. */
import { extname, resolve } from "node:path"
import { Effect, Schema, SchemaTransformation } from "effect"
import { backendNames, deviceNames, storages, templateNames } from "../flags.ts"

/** undefined, which JSON does not have, is null there. */
const maybe = <A extends string | number>(schema: Schema.Codec<A>) =>
  Schema.NullOr(schema).pipe(
    Schema.decodeTo(
      Schema.UndefinedOr(Schema.toType(schema)),
      SchemaTransformation.transform({
        decode: (value: A | null) => value ?? undefined,
        encode: (value: A | undefined) => value ?? null
      })
    )
  )

export const TrainFlags = Schema.Struct({
  model: Schema.String,
  tokenizer: maybe(Schema.String),
  corpus: Schema.String,
  field: Schema.String,
  objective: Schema.Literals(["rpt", "ntp", "sft"]),
  steps: Schema.Int,
  seed: Schema.Int,
  checkpointEvery: maybe(Schema.Int),
  minEntropy: maybe(Schema.Finite),
  quantile: maybe(Schema.Finite),
  minContext: Schema.Int,
  context: Schema.Int,
  positions: Schema.Int,
  documents: maybe(Schema.Int),
  group: Schema.Int,
  temperature: Schema.Finite,
  maxTokens: Schema.Int,
  template: maybe(Schema.Literals(templateNames)),
  samplers: Schema.Int,
  timeLimit: Schema.Int,
  lag: Schema.Int,
  cap: Schema.Finite,
  lr: maybe(Schema.Finite),
  warmup: Schema.Int,
  low: Schema.Finite,
  high: Schema.Finite,
  advantage: Schema.Literals(["grpo", "drGrpo", "rloo"]),
  dynamicFrom: maybe(Schema.Int),
  reward: Schema.String,
  certificate: maybe(Schema.String),
  loraRank: maybe(Schema.Int),
  loraAlpha: maybe(Schema.Finite),
  loraTargets: Schema.Array(Schema.String),
  freeze: Schema.Array(Schema.String),
  storage: Schema.Literals(storages).pipe(Schema.withDecodingDefaultKey(Effect.succeed("f32"))),
  completionField: Schema.String,
  noise: Schema.Finite,
  memory: maybe(Schema.Finite),
  recompute: Schema.Boolean,
  backend: Schema.Literals(backendNames),
  device: maybe(Schema.Literals(deviceNames))
})
export type TrainFlags = typeof TrainFlags.Type

const Command = Schema.Struct({ name: Schema.Literal("train"), flags: TrainFlags })

/** Files by absolute paths: it may be read in another directory. */
export const encodeCommand = (flags: TrainFlags): typeof Schema.Json.Type => {
  const { model, tokenizer, corpus, reward, certificate } = flags
  const found = (path: string) => (extname(path) === "" ? path : resolve(path))
  return Schema.encodeSync(Command)({
    name: "train",
    flags: {
      ...flags,
      model: model.startsWith("preset:") ? model : resolve(model),
      tokenizer: tokenizer === undefined ? undefined : resolve(tokenizer),
      corpus: found(corpus),
      reward: found(reward),
      certificate: certificate === undefined ? undefined : resolve(certificate)
    }
  })
}

export const decodeCommand = Schema.decodeUnknownOption(Command)
