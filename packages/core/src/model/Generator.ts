import { Effect, Exit, Scope } from "effect"
import type { CompileError, ExecutionError, Value } from "../tensor/Backend.ts"
import { Backend } from "../tensor/Backend.ts"
import { compile } from "../tensor/Executable.ts"
import type { TensorType } from "../tensor/HostTensor.ts"
import { HostTensor } from "../tensor/HostTensor.ts"
import type { ProgramCache } from "../tensor/ProgramCache.ts"
import type { BeginInputs, GenerateSettings, ProceedInputs } from "./generate.ts"
import { begin, proceed } from "./generate.ts"
import type { ModelConfig } from "./ModelConfig.ts"
import type { TokenRows } from "./Scorer.ts"
import { hostF32, hostI32 } from "./Scorer.ts"
import type { Rows } from "./segments.ts"
import { allRows, rowsLeft, segmentLengths } from "./segments.ts"
import type { LayerCache, WeightsOf } from "./Transformer.ts"
import { keptAs, typesOfWeights } from "./weights.ts"

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

export interface GeneratorSettings extends GenerateSettings {
  /** N: tokens of the longest completion */
  readonly maxTokens: number
}

export const makeGenerator = (
  config: ModelConfig,
  settings: GeneratorSettings,
  programs: ProgramCache
): Effect.Effect<Generator, never, Backend> =>
  Effect.map(Backend, (backend) => {
    const { groupSize, maxTokens, sampling, stop } = settings
    const how = `${sampling._tag === "greedy" ? "greedy" : `temperature ${sampling.temperature}`} ${stop}`
    const lengths = segmentLengths(maxTokens)

    /** Reads the trunk and samples the first segment. */
    const first = Effect.fnUntraced(function* (weights: WeightsOf<Value>, request: Request) {
      const { trunk, positions, anchors, tail } = request
      const rows = trunk.documents * positions * groupSize
      const inputs = {
        trunk: HostTensor.i32([trunk.documents, trunk.length], trunk.tokens),
        anchors: HostTensor.i32([trunk.documents, positions], anchors),
        tail: HostTensor.i32([tail.length], tail),
        uniforms: HostTensor.f32([lengths[0], rows], request.uniforms.subarray(0, lengths[0] * rows))
      }
      const weightsType = typesOfWeights(config, weights)
      const name = `begin ${shapesOf(inputs)} x${groupSize} ${how}${keptAs(weightsType)}`
      const write = (given: BeginInputs) => begin(config, settings, given)
      const types = { weights: weightsType, ...mapValues(inputs, typeOf) }
      const program = yield* programs.get(name, compile(name, write, types, fetch))
      const { trunkCache, branchCache, tokens, logprobs } = yield* program.run({ weights, ...inputs })
      return { trunkCache, branchCache, tokens: hostI32(tokens), logprobs: hostF32(logprobs) }
    })

    /** Samples a later segment of the rows that are left. */
    const next = Effect.fnUntraced(function* (
      weights: WeightsOf<Value>,
      caches: { readonly trunkCache: Caches; readonly branchCache: Caches },
      rows: Rows,
      given: { readonly anchors: Int32Array; readonly token: Int32Array; readonly uniforms: Float32Array }
    ) {
      const count = rows.origin.length
      const shape = [rows.documents, count / rows.documents]
      const inputs = {
        kept: HostTensor.i32(shape, rows.kept),
        anchors: HostTensor.i32(shape, given.anchors),
        token: HostTensor.i32([count], given.token),
        done: HostTensor.make("bool", [count], rows.done),
        uniforms: HostTensor.f32([given.uniforms.length / count, count], given.uniforms)
      }
      const cacheTypes = { trunkCache: cacheTypesOf(caches.trunkCache), branchCache: cacheTypesOf(caches.branchCache) }
      const shapes = [cacheTypes.trunkCache[0].k.shape, cacheTypes.branchCache[0].k.shape].join(" ")
      const weightsType = typesOfWeights(config, weights)
      const name = `proceed ${shapes} ${shapesOf(inputs)} ${how}${keptAs(weightsType)}`
      const write = (tensors: ProceedInputs) => proceed(config, settings, tensors)
      const types = { weights: weightsType, ...cacheTypes, ...mapValues(inputs, typeOf) }
      const program = yield* programs.get(name, compile(name, write, types, fetch))
      const { branchCache, tokens, logprobs } = yield* program.run({ weights, ...caches, ...inputs })
      return { branchCache, tokens: hostI32(tokens), logprobs: hostF32(logprobs) }
    })

    const run = Effect.fnUntraced(function* (weights: WeightsOf<Value>, request: Request) {
      const { trunk, positions, anchors, uniforms } = request
      const all = trunk.documents * positions * groupSize
      const completions = Array.from({ length: all }, () => new Growing(maxTokens, stop))
      const begun = yield* first(weights, request)
      let rows = allRows(trunk.documents, all)
      take(completions, rows, begun)

      const scope = yield* Effect.scope
      let branchCache: Caches = begun.branchCache
      let ofSegment = yield* Scope.fork(scope)
      let start = lengths[0]
      for (const steps of lengths.slice(1)) {
        rows = rowsLeft(rows, (row) => completions[row].ended)
        if (rows.done.every((done) => done === 1)) break
        const given = {
          anchors: Int32Array.from(rows.origin, (row) => anchors[Math.floor(row / groupSize)]),
          token: Int32Array.from(rows.origin, (row) => completions[row].last),
          uniforms: columns(uniforms.subarray(start * all, (start + steps) * all), all, rows.origin)
        }
        const own = yield* Scope.fork(scope)
        const caches = { trunkCache: begun.trunkCache, branchCache }
        const sampled = yield* Scope.provide(next(weights, caches, rows, given), own)
        take(completions, rows, sampled)
        // The keys of the segment before are part of this one's.
        yield* Scope.close(ofSegment, Exit.void)
        ;[ofSegment, branchCache] = [own, sampled.branchCache]
        start += steps
      }
      return completions.map((completion) => completion.sampled)
    }, Effect.scoped)

    return { generate: (given, request) => Effect.provideService(run(given, request), Backend, backend) }
  })

type Caches = ReadonlyArray<LayerCache<Value>>

const fetch = { tokens: "host", logprobs: "host", trunkCache: "resident", branchCache: "resident" } as const

const typeOf = ({ dtype, shape }: TensorType): TensorType => ({ dtype, shape })
const cacheTypesOf = (caches: Caches) => caches.map(({ k, v }) => ({ k: typeOfValue(k), v: typeOfValue(v) }))
const typeOfValue = (value: Value): TensorType => typeOf("_tag" in value ? value.type : value)

const shapesOf = (inputs: Readonly<Record<string, TensorType>>): string =>
  Object.values(inputs)
    .map(({ shape }) => shape.join("x"))
    .join(" ")

const mapValues = <K extends string, A, B>(record: Readonly<Record<K, A>>, f: (value: A) => B): Record<K, B> =>
  // Object.entries forgets the keys.
  Object.fromEntries(Object.entries<A>(record).map(([key, value]) => [key, f(value)])) as Record<K, B>

/** Columns `of` (rollouts) of step-major draws [N,rows]. */
const columns = (draws: Float32Array, rows: number, of: Int32Array): Float32Array => {
  const width = of.length
  return Float32Array.from({ length: (draws.length / rows) * width }, (_, i) => {
    return draws[Math.floor(i / width) * rows + of[i % width]]
  })
}

/** Hands each rollout the tokens [N,rows] that a segment sampled for it. */
const take = (
  completions: ReadonlyArray<Growing>,
  { origin, done }: Rows,
  { tokens, logprobs }: { readonly tokens: Int32Array; readonly logprobs: Float32Array }
): void =>
  tokens.forEach((token, i) => {
    const row = i % origin.length
    if (done[row] === 0) completions[origin[row]].add(token, logprobs[i])
  })

/** A completion while its tokens come in. */
class Growing {
  readonly #tokens: Int32Array
  readonly #logprobs: Float32Array
  readonly #stop: ReadonlyArray<number>
  #length = 0
  ended = false

  constructor(maxTokens: number, stop: ReadonlyArray<number>) {
    this.#tokens = new Int32Array(maxTokens)
    this.#logprobs = new Float32Array(maxTokens)
    this.#stop = stop
  }

  /** Past its stop token what is sampled means nothing. */
  add(token: number, logprob: number): void {
    if (this.ended) return
    this.#tokens[this.#length] = token
    this.#logprobs[this.#length++] = logprob
    this.ended = this.#stop.includes(token)
  }

  get last(): number {
    return this.#tokens[this.#length - 1]
  }

  get sampled(): SampledCompletion {
    return {
      tokens: this.#tokens.slice(0, this.#length),
      logprobs: this.#logprobs.slice(0, this.#length),
      ended: this.ended ? "stop" : "length"
    }
  }
}
