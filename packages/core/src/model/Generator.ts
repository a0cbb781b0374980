import { Effect } from "effect"
import type { CompileError, ExecutionError, Value } from "../tensor/Backend.ts"
import { Backend } from "../tensor/Backend.ts"
import { compile } from "../tensor/Executable.ts"
import type { TensorType } from "../tensor/HostTensor.ts"
import { HostTensor } from "../tensor/HostTensor.ts"
import type { ProgramCache } from "../tensor/ProgramCache.ts"
import type { Tensor } from "../tensor/Tensor.ts"
import type { GenerateInputs, GenerateSettings } from "./generate.ts"
import { generate } from "./generate.ts"
import type { ModelConfig } from "./ModelConfig.ts"
import type { TokenRows } from "./Scorer.ts"
import { hostF32, hostI32 } from "./Scorer.ts"
import type { WeightsOf } from "./Transformer.ts"
import { weightTypes } from "./weights.ts"

/** What is to be completed: rollouts in the order document, anchor, member of the group. */
export interface Request {
  readonly trunk: TokenRows
  /** K */
  readonly positions: number
  /** [D,K], each an index into its trunk */
  readonly anchors: Int32Array
  /** At least one token, given to every branch. */
  readonly tail: Int32Array
  /** [N,D·K·G] in [0,1) */
  readonly uniforms: Float32Array
}

/** One sampled completion: up to and including its stop token, if it came to one. */
export interface SampledCompletion {
  readonly tokens: Int32Array
  /** Of each token under the distribution it was drawn from, nats. */
  readonly logprobs: Float32Array
  readonly ended: "stop" | "length"
}

export interface Generator {
  /** D·K·G completions. */
  readonly generate: (
    weights: WeightsOf<Value>,
    request: Request
  ) => Effect.Effect<ReadonlyArray<SampledCompletion>, CompileError | ExecutionError>
}

export const makeGenerator = (
  config: ModelConfig,
  settings: GenerateSettings,
  programs: ProgramCache
): Effect.Effect<Generator, never, Backend> =>
  Effect.map(Backend, (backend) => {
    const { groupSize, maxTokens, sampling, stop } = settings
    const weights = weightTypes(config)
    const how = sampling._tag === "greedy" ? "greedy" : `temperature ${sampling.temperature}`

    const program = ({ trunk: { documents, length }, positions, tail }: Request) => {
      const rows = documents * positions * groupSize
      const name = `generate ${documents}x${length} ${positions}x${groupSize} ${tail.length}+${maxTokens} ${how} ${stop}`
      const types: { readonly [K in keyof GenerateInputs]: K extends "weights" ? WeightsOf<TensorType> : TensorType } =
        {
          weights,
          trunk: { dtype: "i32", shape: [documents, length] },
          anchors: { dtype: "i32", shape: [documents, positions] },
          tail: { dtype: "i32", shape: [tail.length] },
          uniforms: { dtype: "f32", shape: [maxTokens, rows] }
        }
      const write = (inputs: GenerateInputs): { readonly tokens: Tensor; readonly logprobs: Tensor } =>
        generate(config, settings, inputs)
      return programs.get(name, compile(name, write, types, "host"))
    }

    const run = Effect.fnUntraced(function* (given: WeightsOf<Value>, request: Request) {
      const { trunk, positions, anchors, tail, uniforms } = request
      const rows = trunk.documents * positions * groupSize
      const { run } = yield* program(request)
      const outputs = yield* run({
        weights: given,
        trunk: HostTensor.i32([trunk.documents, trunk.length], trunk.tokens),
        anchors: HostTensor.i32([trunk.documents, positions], anchors),
        tail: HostTensor.i32([tail.length], tail),
        uniforms: HostTensor.f32([maxTokens, rows], uniforms)
      })
      const tokens = hostI32(outputs.tokens)
      const logprobs = hostF32(outputs.logprobs)
      return Array.from({ length: rows }, (_, row) => completion(tokens, logprobs, row, rows, settings))
    }, Effect.scoped)

    return { generate: (given, request) => Effect.provideService(run(given, request), Backend, backend) }
  })

/** Column `row` of the step-major outputs, cut behind the first stop token. */
const completion = (
  tokens: Int32Array,
  logprobs: Float32Array,
  row: number,
  rows: number,
  { maxTokens, stop }: GenerateSettings
): SampledCompletion => {
  let length = 0
  let ended: "stop" | "length" = "length"
  while (length < maxTokens && ended === "length") {
    if (stop.includes(tokens[length * rows + row])) ended = "stop"
    length++
  }
  return {
    tokens: Int32Array.from({ length }, (_, i) => tokens[i * rows + row]),
    logprobs: Float32Array.from({ length }, (_, i) => logprobs[i * rows + row]),
    ended
  }
}
