import { createHash } from "node:crypto"
import { Effect, Result, Schema } from "effect"
import { normals } from "../random/draw.ts"
import { sizeOf } from "../tensor/HostTensor.ts"
import type { HostF32, HostTensor, Shape, TensorType } from "../tensor/HostTensor.ts"
import type { ModelConfig } from "./ModelConfig.ts"

/** A model's parameters in f32 on the host, by their Hugging Face names; projections are [out, in]. */
export type Weights = Readonly<Record<string, HostF32>>

/** Weights that do not belong to their config. `path: reason` is one line. */
export class WeightsError extends Schema.TaggedError<WeightsError>()("WeightsError", {
  path: Schema.String,
  reason: Schema.String
}) {
  override get message(): string {
    return `${this.path}: ${this.reason}`
  }
}

const embedding = "model.embed_tokens.weight"
const outputHead = "lm_head.weight"

/** The names and shapes of all parameters of the Llama family, in the order of the forward pass. */
export const weightShapes = (config: ModelConfig): ReadonlyMap<string, Shape> => new Map(shapesOf(config))

/** One after the other: a config that lies about its layers is found out at the first that is missing. */
function* shapesOf(config: ModelConfig): Generator<[string, Shape]> {
  const { vocabSize, hiddenSize: d, intermediateSize: ffn, layers, heads, kvHeads, headDim } = config
  yield [embedding, [vocabSize, d]]
  for (let layer = 0; layer < layers; layer++) {
    const prefix = `model.layers.${layer}`
    yield [`${prefix}.input_layernorm.weight`, [d]]
    yield [`${prefix}.self_attn.q_proj.weight`, [heads * headDim, d]]
    yield [`${prefix}.self_attn.k_proj.weight`, [kvHeads * headDim, d]]
    yield [`${prefix}.self_attn.v_proj.weight`, [kvHeads * headDim, d]]
    yield [`${prefix}.self_attn.o_proj.weight`, [d, heads * headDim]]
    yield [`${prefix}.post_attention_layernorm.weight`, [d]]
    yield [`${prefix}.mlp.gate_proj.weight`, [ffn, d]]
    yield [`${prefix}.mlp.up_proj.weight`, [ffn, d]]
    yield [`${prefix}.mlp.down_proj.weight`, [d, ffn]]
  }
  yield ["model.norm.weight", [d]]
  if (!config.tieWordEmbeddings) yield [outputHead, [vocabSize, d]]
}

/** The type of every parameter, for programs that take them. */
export const weightTypes = (config: ModelConfig): Readonly<Record<string, TensorType>> =>
  Object.fromEntries([...weightShapes(config)].map(([name, shape]) => [name, { dtype: "f32", shape }]))

export const parameterCount = (config: ModelConfig): number =>
  [...weightShapes(config).values()].reduce((total, shape) => total + sizeOf(shape), 0)

/**
 * Exactly the parameters that `config` asks for, in their order. Two kinds of extra tensors are dropped because they say
 * nothing new: rotary frequencies that old checkpoints store, and the head of a tied model where it equals the embedding.
 */
export const checkWeights = (
  config: ModelConfig,
  tensors: Readonly<Record<string, HostTensor>>,
  path: string = "weights"
): Result.Result<Weights, WeightsError> => {
  const fail = (reason: string) => Result.fail(new WeightsError({ path, reason }))
  const checked: Array<[string, HostF32]> = []
  for (const [name, shape] of shapesOf(config)) {
    const tensor = Object.hasOwn(tensors, name) ? tensors[name] : undefined
    if (tensor === undefined) return fail(`tensor ${name} is missing`)
    if (tensor.dtype !== "f32") return fail(`tensor ${name} is ${tensor.dtype}, not f32`)
    if (!sameShape(tensor.shape, shape)) return fail(shapeMismatch(config, name, tensor.shape, shape))
    checked.push([name, tensor])
  }
  const known = new Set(checked.map(([name]) => name))
  for (const name of Object.keys(tensors)) {
    if (known.has(name) || name.endsWith(".rotary_emb.inv_freq")) continue
    if (name !== outputHead) return fail(`tensor ${JSON.stringify(name)} is not part of this model`)
    if (!sameValues(tensors[name], tensors[embedding])) {
      return fail(`the config ties ${outputHead} to ${embedding}, but the two differ`)
    }
  }
  return Result.succeed(Object.fromEntries(checked))
}

const sameShape = (a: Shape, b: Shape): boolean =>
  a.length === b.length && a.every((extent, axis) => extent === b[axis])

const sameValues = (a: HostTensor, b: HostTensor): boolean =>
  sameShape(a.shape, b.shape) && a.data.every((value, i) => Object.is(value, b.data[i]))

const shapeMismatch = (config: ModelConfig, name: string, actual: Shape, expected: Shape): string => {
  const vocabulary = name === embedding || name === outputHead
  if (vocabulary && actual.length === 2 && actual[0] !== expected[0] && actual[1] === expected[1]) {
    return `the vocabulary does not fit the embedding: config.json says ${config.vocabSize} tokens, ${name} has ${actual[0]} rows`
  }
  return `tensor ${name} has shape [${actual}], the config asks for [${expected}]`
}

/**
 * A tokenizer fits where every id it can produce (below `tokens`) has an embedding. Fewer tokens than rows is common:
 * embeddings are padded to round sizes.
 */
export const checkVocabulary = (
  config: ModelConfig,
  tokens: number,
  path: string = "tokenizer.json"
): Result.Result<void, WeightsError> =>
  tokens <= config.vocabSize
    ? Result.succeed(undefined)
    : Result.fail(
        new WeightsError({
          path,
          reason: `the vocabulary does not fit the embedding: the tokenizer has ${tokens} tokens, the model ${config.vocabSize}`
        })
      )

/**
 * Weights to train from scratch: normal(0, 0.02), the projections that write into the residual stream divided by
 * sqrt(2 layers) so that its variance does not grow with depth (GPT-2, Radford et al. 2019, 2.3), norms 1.
 */
export const initialWeights = (config: ModelConfig, seed: number): Weights => {
  const residual = 1 / Math.sqrt(2 * config.layers)
  const entries = [...weightShapes(config)].map(([name, shape]): [string, HostF32] => {
    if (shape.length === 1) return [name, { dtype: "f32", shape, data: new Float32Array(shape[0]).fill(1) }]
    const std = /\.(o_proj|down_proj)\.weight$/.test(name) ? 0.02 * residual : 0.02
    const data = normals(seed, ["initial weights", name], sizeOf(shape))
    for (let i = 0; i < data.length; i++) data[i] *= std
    return [name, { dtype: "f32", shape, data }]
  })
  return Object.fromEntries(entries)
}

/** Bytes hashed at a time, about two milliseconds of work. */
const slice = 2 ** 22

/** SHA-256, in hex, over the tensors sorted by name: a JSON line [name, dtype, shape], then the little-endian bytes. */
export const weightsHash = (tensors: Readonly<Record<string, HostTensor>>): string => {
  const hash = createHash("sha256")
  for (const part of partsOf(tensors)) hash.update(part)
  return hash.digest("hex")
}

/** `weightsHash` with room for other work between the slices. */
export const hashWeights = (tensors: Readonly<Record<string, HostTensor>>): Effect.Effect<string> =>
  Effect.gen(function* () {
    const hash = createHash("sha256")
    let since = 0
    for (const part of partsOf(tensors)) {
      hash.update(part)
      since += part.length
      if (since < slice) continue
      since = 0
      yield* Effect.yieldNow
    }
    return hash.digest("hex")
  })

function* partsOf(tensors: Readonly<Record<string, HostTensor>>): Generator<string | Uint8Array> {
  for (const name of Object.keys(tensors).toSorted()) {
    const { dtype, shape, data } = tensors[name]
    yield `${JSON.stringify([name, dtype, shape])}\n`
    for (let at = 0; at < data.byteLength; at += slice) {
      yield new Uint8Array(data.buffer, data.byteOffset + at, Math.min(slice, data.byteLength - at))
    }
  }
}
