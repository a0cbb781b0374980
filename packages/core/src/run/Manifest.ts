import { arch, availableParallelism, cpus, platform, release, totalmem } from "node:os"
import { Schema } from "effect"
import { Certificate } from "../reward/Certificate.ts"

/** The computer a run was made on. */
export const Machine = Schema.Struct({
  platform: Schema.String,
  architecture: Schema.String,
  processor: Schema.String,
  cores: Schema.Int,
  memoryBytes: Schema.Int
})
export type Machine = typeof Machine.Type

/** What is needed to repeat a run: written once, before its first step. */
export const Manifest = Schema.Struct({
  format: Schema.Literal(1),
  id: Schema.String,
  /** ISO 8601, UTC. */
  startedAt: Schema.String,
  seed: Schema.Int,
  /** The name of the backend in use, for example "onnx:cpu". */
  backend: Schema.String,
  /** Every setting of the experiment, defaults filled in. */
  config: Schema.Json,
  /** How whoever made the run makes its parts again: `foretoken train` puts its flags here, `foretoken resume` reads them. */
  command: Schema.optionalKey(Schema.Json),
  /** What it was planned to take of memory, in bytes: the most, part by part. */
  memory: Schema.optionalKey(
    Schema.Struct({
      parts: Schema.Array(Schema.Struct({ what: Schema.String, bytes: Schema.Int })),
      total: Schema.Int
    })
  ),
  /** Of the reward, where it has one. */
  certificate: Schema.optionalKey(Certificate),
  /** By package: foretoken, node, effect, onnxruntime-node, ... */
  versions: Schema.Record(Schema.String, Schema.String),
  machine: Machine
})
export type Manifest = typeof Manifest.Type

export const describeMachine = (): Machine => ({
  platform: `${platform()} ${release()}`,
  architecture: arch(),
  processor: cpus()[0]?.model.trim() ?? "unknown",
  cores: availableParallelism(),
  memoryBytes: totalmem()
})
