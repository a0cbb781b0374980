/**
 * Adapters as PEFT keeps them: adapter_config.json and adapter_model.safetensors, without the base model.
 * Source: https://github.com/huggingface/peft, `LoraConfig` and `save_pretrained`, version 0.21.
 */
import { join } from "node:path"
import { Effect, Predicate, Result, Schema } from "effect"
import { writeTextAtomically } from "../storage/atomic.ts"
import { parseJson } from "../storage/boundedJson.ts"
import { hubName } from "../hub/name.ts"
import { modelPath } from "../hub/modelPath.ts"
import { Disk, readWhole } from "../storage/Disk.ts"
import type { StorageError } from "../storage/StorageError.ts"
import { adaptersOf, configWithLora, withoutLora } from "./adapters.ts"
import type { Lora } from "./Lora.ts"
import { ModelConfigError } from "./ModelConfig.ts"
import type { KeptModel } from "./ModelDirectory.ts"
import { modelSource } from "./modelFile.ts"
import { namesOf } from "./parameters.ts"
import { quote } from "./refusal.ts"
import { readSafetensors, writeSafetensors } from "./safetensors.ts"
import type { SafetensorsError } from "./SafetensorsError.ts"
import { checkKeptWeights, WeightsError } from "./weights.ts"

const configName = "adapter_config.json"
const weightsName = "adapter_model.safetensors"

/** What PEFT puts before the names that the base model's weights have. */
const prefix = "base_model.model."

const Config = Schema.Struct({
  peft_type: Schema.Literal("LORA"),
  base_model_name_or_path: Schema.NullOr(Schema.String),
  revision: Schema.optionalKey(Schema.NullOr(Schema.String)),
  r: Schema.Int,
  lora_alpha: Schema.Finite,
  target_modules: Schema.Array(Schema.String),
  use_rslora: Schema.optionalKey(Schema.Boolean)
})

/**
 * Keys that are read here, and those that say nothing about what trained adapters compute. Any other, of versions to come too, is
 * refused where it asks for something.
 */
const harmless: ReadonlySet<string> = new Set([
  ...Object.keys(Config.fields),
  "auto_mapping",
  "peft_version",
  "task_type",
  "inference_mode",
  "runtime_config",
  "fan_in_fan_out",
  "lora_dropout",
  "megatron_core",
  "ensure_weight_tying",
  // Of ways to begin, which are over; `init_lora_weights` says which one it was.
  "loftq_config",
  "eva_config",
  "qalora_group_size"
])

/** The values that ask for nothing. */
const asksNothing = (key: string, value: unknown): boolean =>
  value === null ||
  value === false ||
  (key === "bias" && value === "none") ||
  (key === "init_lora_weights" && isPlainStart(value)) ||
  (Array.isArray(value) && value.length === 0) ||
  (Predicate.isObject(value) && Object.keys(value).length === 0)

/** Others (PiSSA, OLoRA, LoftQ, CorDA, LoRA-GA) change the base model whenever PEFT puts the adapters on it. */
const isPlainStart = (value: unknown): boolean =>
  value === true || value === "gaussian" || value === "eva" || value === "orthogonal" || value === "mica"

/** What an adapter_config.json says, or why adapters like it are not read here. */
export const parseAdapterConfig = (json: unknown, path: string): Result.Result<Lora, ModelConfigError> => {
  const refuse = (reason: string) => Result.fail(new ModelConfigError({ path, reason }))
  if (Predicate.isObject(json)) {
    const asked = Object.entries<unknown>({ ...json }).find(
      ([key, value]) => !harmless.has(key) && !asksNothing(key, value)
    )
    if (asked !== undefined) return refuse(`${asked[0]} is ${quote(asked[1])}, which is not supported`)
  }
  return Result.mapBoth(Schema.decodeUnknownResult(Config)(json), {
    onFailure: ({ message }) => new ModelConfigError({ path, reason: message.replaceAll(/\s*\n\s*/g, " ") }),
    onSuccess: (given): Lora => ({
      base: baseIn(given),
      rank: given.r,
      alpha: given.lora_alpha,
      targets: given.target_modules,
      rankStabilized: given.use_rslora ?? false
    })
  })
}

/** A path, or org/name@revision: PEFT keeps the revision of a model of the hub beside its name. */
const baseIn = ({ base_model_name_or_path: base, revision }: typeof Config.Type): string => {
  if (base === null) return ""
  return revision == null || hubName(base) === undefined ? base : `${base}@${revision}`
}

/** The two as PEFT keeps them. */
const baseJson = (base: string) => {
  const name = hubName(base)
  return name !== undefined && Result.isSuccess(name) && base.includes("@")
    ? { base_model_name_or_path: name.success.repo, revision: name.success.revision }
    : { base_model_name_or_path: base }
}

/** Reads what the adapters of a directory are like, and which model they belong to. */
export const readAdapterConfig = (directory: string): Effect.Effect<Lora, ModelConfigError | StorageError> =>
  Effect.gen(function* () {
    const path = join(directory, configName)
    const text = new TextDecoder().decode(yield* readWhole(path, 2 ** 24))
    const json = yield* Effect.mapError(
      Effect.fromResult(parseJson(text)),
      (reason) => new ModelConfigError({ path, reason })
    )
    return yield* Effect.fromResult(parseAdapterConfig(json, path))
  })

/** Whether a directory holds adapters and no model. */
export const isAdapterDirectory = (directory: string): Effect.Effect<boolean> =>
  Effect.map(namesIn(directory), (names) => names.includes(configName) && !names.includes("config.json"))

/** Where the model lies that the adapters of a directory name: as it stands, seen from there, or on the hub. */
export const baseOf = (directory: string): Effect.Effect<string, ModelConfigError | StorageError> =>
  Effect.gen(function* () {
    const { base } = yield* readAdapterConfig(directory)
    // A directory that is called like a model of the hub goes first, as everywhere, and has no revisions.
    const name = hubName(base)
    const repo = name !== undefined && Result.isSuccess(name) ? [name.success.repo] : []
    for (const place of base === "" ? [] : [base, ...repo, join(directory, base)]) {
      const source = yield* modelSource(place)
      if (source._tag !== "directory" || (yield* namesIn(place)).includes("config.json")) return place
    }
    const refuse = (reason: string) => new ModelConfigError({ path: join(directory, configName), reason })
    if (name !== undefined) {
      return yield* Effect.mapError(modelPath(base), ({ message }) => refuse(`its base model ${message}`))
    }
    const wanted = "base_model_name_or_path has to be the path of one, or its name on the hub"
    return yield* refuse(`its base model ${JSON.stringify(base)} is not here; ${wanted}`)
  })

/** None where the directory is not there. */
const namesIn = (directory: string): Effect.Effect<ReadonlyArray<string>> =>
  Effect.flatMap(Disk, (disk) => Effect.orElseSucceed(disk.list(directory), () => []))

/** The base model with the adapters of a directory; adapters that it has are left out. */
export const attachAdapters = <Model extends KeptModel>(
  directory: string,
  lora: Lora,
  base: Model
): Effect.Effect<Model, ModelConfigError | SafetensorsError | WeightsError> =>
  Effect.gen(function* () {
    const bare = withoutLora(base)
    const config = yield* Effect.fromResult(configWithLora(bare.config, lora, join(directory, configName)))
    const path = join(directory, weightsName)
    const stored = Object.entries(yield* readSafetensors(path))
    const stray = stored.find(([name]) => !name.startsWith(prefix))
    if (stray !== undefined) {
      return yield* new WeightsError({ path, reason: `tensor ${JSON.stringify(stray[0])} is no adapter` })
    }
    const adapters = stored.map(([name, tensor]) => [name.slice(prefix.length), tensor] as const)
    const known = adapters.find(([name]) => Object.hasOwn(bare.weights, name))
    if (known !== undefined) {
      return yield* new WeightsError({ path, reason: `tensor ${JSON.stringify(known[0])} is one of the base model` })
    }
    const all = { ...bare.weights, ...Object.fromEntries(adapters) }
    yield* Effect.fromResult(checkKeptWeights(config, all, path))
    return { ...bare, config, weights: all }
  })

/** The files of a model's adapters, into a directory that the caller will publish. */
export const writeAdapterFiles = (
  directory: string,
  { config: model, weights }: Pick<KeptModel, "config" | "weights">,
  lora: Lora
): Effect.Effect<void, StorageError> =>
  Effect.gen(function* () {
    const config = {
      peft_type: "LORA",
      task_type: "CAUSAL_LM",
      ...baseJson(lora.base),
      r: lora.rank,
      lora_alpha: lora.alpha,
      lora_dropout: 0,
      target_modules: lora.targets,
      use_rslora: lora.rankStabilized,
      bias: "none",
      fan_in_fan_out: namesOf(model).stored === "inOut",
      inference_mode: true
    }
    yield* writeTextAtomically(join(directory, configName), `${JSON.stringify(config, undefined, 2)}\n`)
    const named = Object.entries(adaptersOf(weights)).map(([name, tensor]) => [`${prefix}${name}`, tensor] as const)
    yield* writeSafetensors(join(directory, weightsName), Object.fromEntries(named))
  })
