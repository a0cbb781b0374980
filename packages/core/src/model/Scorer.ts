import { Effect } from "effect"
import type { CompileError, ExecutionError, Value } from "../tensor/Backend.ts"
import { Backend } from "../tensor/Backend.ts"
import { compile } from "../tensor/Executable.ts"
import type { TensorType } from "../tensor/HostTensor.ts"
import { HostTensor } from "../tensor/HostTensor.ts"
import type { ProgramCache } from "../tensor/ProgramCache.ts"
import type { Tensor } from "../tensor/Tensor.ts"
import type { ModelConfig } from "./ModelConfig.ts"
import { score } from "./score.ts"
import type { WeightsOf } from "./Transformer.ts"
import { keptAs, typesOfWeights } from "./weights.ts"

/** Documents side by side: i32 [D,T], right-padded. */
export interface TokenRows {
  readonly documents: number
  readonly length: number
  readonly tokens: Int32Array
}

/** What `score` says of every position, on the host. Position i speaks of token i + 1. Nats; [D,T] and [D,T,k]. */
export interface HostScores {
  readonly logprobs: Float32Array
  readonly argmax: Int32Array
  readonly entropy: Float32Array
  readonly top: Float32Array
  /** k: how many of the largest log-probabilities `top` has */
  readonly topSize: number
}

/** Plain readings of documents under given weights. */
export interface Scorer {
  readonly score: (
    weights: WeightsOf<Value>,
    rows: TokenRows
  ) => Effect.Effect<HostScores, CompileError | ExecutionError>
}

export const makeScorer = (config: ModelConfig, programs: ProgramCache): Effect.Effect<Scorer, never, Backend> =>
  Effect.map(Backend, (backend) => {
    const program = (given: WeightsOf<Value>, documents: number, length: number) => {
      const weights = typesOfWeights(config, given)
      const name = `score ${documents}x${length}${keptAs(weights)}`
      const tokens: TensorType = { dtype: "i32", shape: [documents, length] }
      const read = (inputs: { readonly weights: WeightsOf<Tensor>; readonly tokens: Tensor }) =>
        score(config, inputs.weights, inputs.tokens)
      return programs.get(name, compile(name, read, { weights, tokens }, "host"))
    }
    const run = Effect.fnUntraced(function* (given: WeightsOf<Value>, { documents, length, tokens }: TokenRows) {
      const { run } = yield* program(given, documents, length)
      const outputs = yield* run({ weights: given, tokens: HostTensor.i32([documents, length], tokens) })
      const { logprobs, argmax, entropy, top } = outputs
      return {
        logprobs: hostF32(logprobs),
        argmax: hostI32(argmax),
        entropy: hostF32(entropy),
        top: hostF32(top),
        topSize: hostF32(top).length / (documents * length)
      }
    }, Effect.scoped)
    return { score: (given, rows) => Effect.provideService(run(given, rows), Backend, backend) }
  })

/** The elements of an output that was fetched to the host. */
export const hostF32 = (value: Value): Float32Array => {
  if ("_tag" in value || value.dtype !== "f32") throw new TypeError("not an f32 host tensor")
  return value.data
}

export const hostI32 = (value: Value): Int32Array => {
  if ("_tag" in value || value.dtype !== "i32") throw new TypeError("not an i32 host tensor")
  return value.data
}
