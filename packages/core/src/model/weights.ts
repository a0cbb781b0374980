import { createHash } from "node:crypto"
import { Effect, Result, Schema } from "effect"
import { normals } from "../random/draw.ts"
import type { Value } from "../tensor/Backend.ts"
import { floatsOf } from "../tensor/half.ts"
import { isHalf, sizeOf } from "../tensor/HostTensor.ts"
import type { HostF32, HostHalf, HostTensor, Shape, TensorType } from "../tensor/HostTensor.ts"
import { initialAdapter } from "./Lora.ts"
import type { ModelConfig } from "./ModelConfig.ts"
import { canonicalName, namesOf, parametersOf } from "./parameters.ts"
import type { Parameter } from "./parameters.ts"

/** A model's parameters in f32 on the host, by their Hugging Face names and in the layout that their files have. */
export type Weights = Readonly<Record<string, HostF32>>

/** The same as their file has them: in two bytes where it does. What is so is read, and never trained. */
export type KeptWeights = Readonly<Record<string, HostF32 | HostHalf>>

/** Weights that do not belong to their config. `path: reason` is one line. */
export class WeightsError extends Schema.TaggedError<WeightsError>()("WeightsError", {
  path: Schema.String,
  reason: Schema.String
}) {
  override get message(): string {
    return `${this.path}: ${this.reason}`
  }
}

/** The names and shapes of all parameters, in the order of the forward pass: adapters behind what they adapt. */
export const weightShapes = (config: ModelConfig): ReadonlyMap<string, Shape> =>
  new Map(Array.from(parametersOf(config), ({ name, shape }) => [name, shape]))

/** The type of every parameter, for programs that take them. */
export const weightTypes = (config: ModelConfig): Readonly<Record<string, TensorType>> =>
  Object.fromEntries([...weightShapes(config)].map(([name, shape]) => [name, { dtype: "f32", shape }]))

/** The same as the weights at hand are kept. */
export const typesOfWeights = (
  config: ModelConfig,
  weights: Readonly<Record<string, Value>>
): Readonly<Record<string, TensorType>> =>
  Object.fromEntries(
    [...weightShapes(config)].map(([name, shape]) => {
      const value = Object.hasOwn(weights, name) ? weights[name] : undefined
      const type = value !== undefined && "_tag" in value ? value.type : value
      return [name, { dtype: type?.dtype ?? "f32", shape }]
    })
  )

/** Those that are kept in two bytes. */
export const halvesOf = (weights: KeptWeights): KeptWeights =>
  Object.fromEntries(Object.entries(weights).filter(([, { dtype }]) => isHalf(dtype)))

/** The same with those called `names` in f32, which is what can be trained. */
export const widened = (weights: KeptWeights, names: ReadonlyArray<string>): KeptWeights => {
  const halves = names.filter((name) => isHalf(weights[name].dtype))
  return { ...weights, ...Object.fromEntries(halves.map((name) => [name, wide(weights[name])])) }
}

/** All of them in f32. */
export const inF32 = (weights: KeptWeights): Weights =>
  Object.fromEntries(Object.entries(weights).map(([name, value]) => [name, wide(value)]))

const wide = (value: HostF32 | HostHalf): HostF32 =>
  value.dtype === "f32" ? value : { dtype: "f32", shape: value.shape, data: floatsOf(value.dtype, value.data) }

/** Names how weights are kept, where some are kept in two bytes: what programs are told apart by. */
export const keptAs = (types: Readonly<Record<string, TensorType>>): string => {
  const halves = new Set(Object.values(types).flatMap(({ dtype }) => (isHalf(dtype) ? [dtype] : [])))
  return halves.size === 0
    ? ""
    : ` kept ${Object.values(types)
        .map(({ dtype }) => dtype)
        .join(" ")}`
}

export const parameterCount = (config: ModelConfig): number =>
  [...weightShapes(config).values()].reduce((total, shape) => total + sizeOf(shape), 0)

/**
 * Exactly the parameters that `config` asks for, in their order. Extra tensors are dropped where they say nothing new:
 * buffers that old checkpoints store, and the head of a tied model where it equals the embedding.
 */
export const checkWeights = (
  config: ModelConfig,
  tensors: Readonly<Record<string, HostTensor>>,
  path: string = "weights"
): Result.Result<Weights, WeightsError> => checked(config, tensors, path, (tensor) => tensor.dtype === "f32")

/** The same of weights that are kept as their file has them, in two bytes or in four. */
export const checkKeptWeights = (
  config: ModelConfig,
  tensors: Readonly<Record<string, HostTensor>>,
  path: string
): Result.Result<KeptWeights, WeightsError> => checked(config, tensors, path, isFloat)

const isFloat = (tensor: HostTensor): tensor is HostF32 | HostHalf => tensor.dtype === "f32" || isHalf(tensor.dtype)

const checked = <A extends HostTensor>(
  config: ModelConfig,
  tensors: Readonly<Record<string, HostTensor>>,
  path: string,
  fits: (tensor: HostTensor) => tensor is A
): Result.Result<Readonly<Record<string, A>>, WeightsError> => {
  const fail = (reason: string) => Result.fail(new WeightsError({ path, reason }))
  const given = new Map<string, HostTensor>()
  for (const [written, tensor] of Object.entries(tensors)) {
    const name = canonicalName(config, written)
    if (name._tag === "kept") given.set(name.name, tensor)
  }
  const found: Array<[string, A]> = []
  for (const parameter of parametersOf(config)) {
    const { name, shape } = parameter
    const tensor = given.get(name)
    if (tensor === undefined) return fail(`tensor ${name} is missing`)
    if (!fits(tensor)) return fail(`tensor ${name} is ${tensor.dtype}, not f32`)
    if (!sameShape(tensor.shape, shape)) return fail(shapeMismatch(config, parameter, tensor.shape))
    found.push([name, tensor])
    given.delete(name)
  }
  const embedding = `${namesOf(config).embedding}.weight`
  const head = `${namesOf(config).head}.weight`
  for (const [name, tensor] of given) {
    if (name !== head) return fail(`tensor ${JSON.stringify(name)} is not part of this model`)
    if (!sameValues(tensor, found[0][1])) return fail(`the config ties ${head} to ${embedding}, but the two differ`)
  }
  return Result.succeed(Object.fromEntries(found))
}

const sameShape = (a: Shape, b: Shape): boolean =>
  a.length === b.length && a.every((extent, axis) => extent === b[axis])

const sameValues = (a: HostTensor, b: HostTensor): boolean =>
  sameShape(a.shape, b.shape) && a.data.every((value, i) => Object.is(value, b.data[i]))

const shapeMismatch = ({ vocabSize }: ModelConfig, { name, role, shape }: Parameter, actual: Shape): string => {
  const vocabulary = role === "embedding" || role === "head"
  if (vocabulary && actual.length === 2 && actual[0] !== shape[0] && actual[1] === shape[1]) {
    return `the vocabulary does not fit the embedding: config.json says ${vocabSize} tokens, ${name} has ${actual[0]} rows`
  }
  return `tensor ${name} has shape [${actual}], the config asks for [${shape}]`
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
 * sqrt(2 layers) so that its variance does not grow with depth (GPT-2, Radford et al. 2019, 2.3), norms 1, biases 0.
 */
export const initialWeights = (config: ModelConfig, seed: number): Weights => {
  const residual = 1 / Math.sqrt(2 * config.layers)
  return Object.fromEntries(
    Array.from(parametersOf(config), ({ name, shape, role }): [string, HostF32] => {
      if (role === "adapter") return [name, initialAdapter(name, shape, seed)]
      if (role === "norm" || role === "bias") {
        return [name, { dtype: "f32", shape, data: new Float32Array(shape[0]).fill(role === "norm" ? 1 : 0) }]
      }
      const std = role === "residual" ? 0.02 * residual : 0.02
      const data = normals(seed, ["initial weights", name], sizeOf(shape))
      for (let i = 0; i < data.length; i++) data[i] *= std
      return [name, { dtype: "f32", shape, data }]
    })
  )
}

/** Bytes hashed at a time, one or two milliseconds of work. */
const slice = 2 ** 21

/** Digests of tensors that are hashed again and again and never change, as those that training leaves alone. */
export type KnownDigests = WeakMap<HostTensor, string>

/**
 * SHA-256, in hex, over a JSON line [name, dtype, shape, digest] of each tensor, sorted by name; the digest is SHA-256, in
 * hex, of the little-endian bytes. Floats of two bytes count as the f32 that they are widened to: equal weights have one hash,
 * however they are kept.
 */
export const weightsHash = (tensors: Readonly<Record<string, HostTensor>>): string => {
  const steps = hashing(tensors, new WeakMap())
  for (;;) {
    const { done, value } = steps.next()
    if (done === true) return value
  }
}

/** `weightsHash` with room for other work between the slices. What `known` has is not read again; what is read it gets. */
export const hashWeights = (
  tensors: Readonly<Record<string, HostTensor>>,
  known: KnownDigests = new WeakMap()
): Effect.Effect<string> => inSlices(hashing(tensors, known))

/** Finds the digest of one tensor, ahead of `hashWeights`, which then takes it from `known`. */
export const digestTensor = (tensor: HostTensor, known: KnownDigests): Effect.Effect<void> =>
  Effect.suspend(() =>
    known.has(tensor)
      ? Effect.void
      : Effect.map(inSlices(digesting(tensor)), (digest) => void known.set(tensor, digest))
  )

const inSlices = <A>(steps: Generator<number, A>): Effect.Effect<A> =>
  Effect.gen(function* () {
    let since = 0
    for (;;) {
      const { done, value } = steps.next()
      if (done === true) return value
      since += value
      if (since < slice) continue
      since = 0
      yield* Effect.yieldNow
    }
  })

/** Gives how many bytes it has read, slice by slice, and then the hash. */
function* hashing(tensors: Readonly<Record<string, HostTensor>>, known: KnownDigests): Generator<number, string> {
  const whole = createHash("sha256")
  for (const name of Object.keys(tensors).toSorted()) {
    const tensor = tensors[name]
    const digest = known.get(tensor) ?? (yield* digesting(tensor))
    known.set(tensor, digest)
    const dtype = isHalf(tensor.dtype) ? "f32" : tensor.dtype
    whole.update(`${JSON.stringify([name, dtype, tensor.shape, digest])}\n`)
  }
  return whole.digest("hex")
}

function* digesting({ dtype, data }: HostTensor): Generator<number, string> {
  const hash = createHash("sha256")
  const step = slice / data.BYTES_PER_ELEMENT
  for (let at = 0; at < data.length; at += step) {
    const own = data.subarray(at, at + step)
    const values = isHalf(dtype) ? floatsOf(dtype, own) : own
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
    hash.update(bytes)
    yield bytes.length
  }
  return hash.digest("hex")
}
