/** What a run will take of memory, told from its shapes before it begins; and a run made to fit. */
import { Result } from "effect"
import type { Remember } from "../autodiff/Past.ts"
import { SettingsError } from "../data/NextToken.ts"
import { begin, proceed } from "../model/generate.ts"
import { score } from "../model/score.ts"
import { segmentLengths } from "../model/segments.ts"
import { trainableWeights } from "../model/trainable.ts"
import { typesOfWeights, weightTypes } from "../model/weights.ts"
import { objectiveWithGradient } from "../optim/gradientProgram.ts"
import { policiesReused } from "../optim/reusedMemory.ts"
import type { Rule } from "../optim/settings.ts"
import { bucket } from "../rl/Batch.ts"
import { policy } from "../rl/objective.ts"
import { muonApplies } from "../routine/muon.ts"
import { record } from "../tensor/Graph.ts"
import type { TensorType } from "../tensor/HostTensor.ts"
import type { Liveness } from "../tensor/liveness.ts"
import { bytesOf, liveness, totalBytes } from "../tensor/liveness.ts"
import { expand } from "../tensor/simplify.ts"
import type { TypeTree } from "../tensor/Tree.ts"
import { trunkMultiple } from "./packRequest.ts"
import type { Pipeline } from "./Pipeline.ts"
import type { RunContext } from "./RunContext.ts"

export interface MemoryPart {
  readonly what: string
  readonly bytes: number
}

/** Bytes at the most, part by part, for batches of the largest shape that a run can come to. */
export interface MemoryPlan {
  readonly parts: ReadonlyArray<MemoryPart>
  readonly total: number
}

type Context = Pick<RunContext, "config" | "frame">

/**
 * Buffers are counted; values inside of programs are those of their graphs (`liveness`), times what backends were measured
 * to take beside; what the process itself takes is a measured allowance. A reward that asks the model is not in it.
 */
export const planMemory = (pipeline: Pipeline, context: Context, samplers: number): MemoryPlan =>
  planWith(new Peaks(context), pipeline, context, samplers)

const planWith = (peaks: Peaks, pipeline: Pipeline, context: Context, samplers: number): MemoryPlan => {
  const { batch, lag, optimizer } = pipeline
  const { documentsPerMicroBatch, programsKept, rule, frozen } = optimizer.settings
  const types = keptTypes(pipeline, context)
  const names = Result.getOrThrow(trainableWeights(context.config, frozen)) // checked where a run is begun
  const trainable = Object.fromEntries(names.map((name) => [name, types[name]]))
  const all = totalBytes(Object.values(types))
  const moving = totalBytes(Object.values(trainable))
  const moments = momentBytes(rule, trainable)
  const cuts = Math.ceil(batch.documentsPerStep / documentsPerMicroBatch)
  const parts = [
    // As loaded, and in the threads of search, optimizer and samplers.
    { what: "weights", bytes: all * (3 + samplers) },
    { what: "the two largest weights, on their way to samplers", bytes: samplers * largest(Object.values(types)) },
    { what: "policies that steps are sampled with, and the next", bytes: moving * (lag + 2) },
    { what: "memory of policies, to be used again", bytes: moving * policiesReused(moving) },
    // Those of the optimizer, and two copies by turns.
    { what: "optimizer's moments", bytes: 3 * moments },
    // Their sum, those of a micro-batch, and a copy on the way out of the backend.
    { what: "gradients", bytes: moving * (cuts > 1 ? 3 : 2) },
    {
      what:
        programsKept > 1
          ? `activations, of micro-batches of up to ${programsKept} shapes`
          : "activations of a micro-batch",
      bytes: slack * programsKept * peaks.training(pipeline, names)
    },
    {
      what: "sampling of a unit, with its caches",
      bytes: slack * samplers * peaks.sampling(pipeline)
    },
    { what: "search for problems", bytes: slack * peaks.search(pipeline) },
    { what: "the process and its threads", bytes: base + thread * (2 + samplers) }
  ].map(({ what, bytes }) => ({ what, bytes: Math.round(bytes) }))
  return { parts, total: parts.reduce((sum, { bytes }) => sum + bytes, 0) }
}

/** How a run keeps weights: what it trains in f32, the others as they were given; where that is not known yet, in f32. */
const keptTypes = ({ policy, optimizer }: Pipeline, { config }: Context): Readonly<Record<string, TensorType>> => {
  const wide = weightTypes(config)
  if (!("stored" in policy)) return wide
  const names = Result.getOrThrow(trainableWeights(config, optimizer.settings.frozen)) // as above
  const trained = names.map((name) => [name, wide[name]] as const)
  return { ...typesOfWeights(config, policy.stored.weights), ...Object.fromEntries(trained) }
}

/**
 * The pipeline with its batches cut so that it fits into `budget` bytes; fails with the least that it can take. What comes
 * first is faster: fewer programs kept and fewer documents at a time, then layers that are computed again. Nothing of what
 * is optimised changes: gradients are sums over the whole batch, however it is cut. It follows from shapes and budget alone.
 */
export const fitMemory = (
  pipeline: Pipeline,
  context: Context,
  samplers: number,
  budget: number
): Result.Result<Pipeline, SettingsError> => {
  const { batch, optimizer } = pipeline
  const { documentsPerMicroBatch, programsKept, remember } = optimizer.settings
  const ways = (remember === "all" ? (["all", "layers"] as const) : (["layers"] as const)).flatMap((way: Remember) =>
    halves(batch.documentsPerUnit).flatMap((unit) =>
      fewer(programsKept).flatMap((kept) =>
        // Documents are cut up before fewer than two programs are kept, not before fewer than four.
        (kept > 2 ? [documentsPerMicroBatch] : halves(documentsPerMicroBatch)).map((cut) => ({
          ...pipeline,
          batch: { ...batch, documentsPerUnit: unit },
          optimizer: optimizer.cut({ documentsPerMicroBatch: cut, programsKept: kept, remember: way })
        }))
      )
    )
  )
  let least = Infinity
  const peaks = new Peaks(context)
  for (const way of ways) {
    const { total } = planWith(peaks, way, context, samplers)
    if (total <= budget) return Result.succeed(way)
    least = Math.min(least, total)
  }
  const problem = `${gigabytes(budget)} given; this run takes at least ${gigabytes(least)}`
  return Result.fail(new SettingsError({ setting: "memory", problem }))
}

/** "1.4 GB" */
export const gigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(bytes < 1e8 ? 3 : 2)} GB`

/** Down to 1. */
const halves = (n: number): ReadonlyArray<number> => (n <= 1 ? [n] : [n, ...halves(Math.ceil(n / 2))])

/** The programs that may be kept instead of so many. */
const fewer = (kept: number): ReadonlyArray<number> => [...new Set([kept, Math.min(kept, 2), 1])]

/** onnxruntime runs nodes in an order of its own and its memory has gaps: 1.1 to 1.6 times what `liveness` says, as measured. */
const slack = 1.6

/** Node, its libraries and what is read of the corpus, and each thread with a backend of its own: measured, in bytes. */
const base = 350e6
const thread = 100e6

/** Of the two largest: as many are sent at a time, in memory that is kept for the next. */
const largest = (types: ReadonlyArray<TensorType>): number =>
  types
    .map(bytesOf)
    .toSorted((a, b) => b - a)
    .slice(0, 2)
    .reduce((sum, bytes) => sum + bytes, 0)

const momentBytes = (rule: Rule, weights: Readonly<Record<string, TensorType>>): number =>
  Object.entries(weights)
    .map(([name, type]) => bytesOf(type) * (rule._tag === "muon" && muonApplies(name, type.shape) ? 1 : 2))
    .reduce((sum, bytes) => sum + bytes, 0)

/** The largest sizes that documents of a pipeline come in. */
const sizesOf = ({ problems, sampler }: Pipeline, { config, frame }: Context) => {
  const { maxTokens, groupSize } = sampler.settings
  const room = config.maxPositions - frame.head.length - frame.tail.length - maxTokens
  const longest = frame.head.length + Math.max(1, Math.min(problems.settings.maxTokens, room))
  const positions = problems.settings.positionsPerDocument
  return { trunk: bucket(longest, trunkMultiple), tail: frame.tail.length, positions, groupSize, maxTokens }
}

/** What programs of one run take at the most, each traced once: some differ in the way that others are cut, only. */
class Peaks {
  readonly #context: Context
  readonly #known = new Map<string, number>()

  constructor(context: Context) {
    this.#context = context
  }

  training(pipeline: Pipeline, names: ReadonlyArray<string>): number {
    const { documentsPerMicroBatch, remember } = pipeline.optimizer.settings
    return this.#once(`${documentsPerMicroBatch} ${remember}`, () => trainingPeak(pipeline, this.#context, names))
  }

  sampling(pipeline: Pipeline): number {
    return this.#once(`sampling ${pipeline.batch.documentsPerUnit}`, () => samplingPeak(pipeline, this.#context))
  }

  search(pipeline: Pipeline): number {
    return this.#once(`search ${pipeline.batch.documentsPerUnit}`, () => searchPeak(pipeline, this.#context))
  }

  #once(key: string, peak: () => number): number {
    const known = this.#known.get(key) ?? peak()
    this.#known.set(key, known)
    return known
  }
}

const trainingPeak = (pipeline: Pipeline, context: Context, names: ReadonlyArray<string>): number => {
  const { trunk, tail, positions, groupSize, maxTokens } = sizesOf(pipeline, context)
  const { documentsPerMicroBatch: documents, loss, remember } = pipeline.optimizer.settings
  const branches = groupSize * 2 ** Math.ceil(Math.log2(positions))
  const tokens = [documents, branches, tail + bucket(maxTokens)]
  const data = {
    trunk: i32(documents, trunk),
    branches: i32(...tokens),
    anchors: i32(documents, branches),
    mask: f32(...tokens),
    behaviourLogprobs: f32(...tokens),
    advantages: f32(documents, branches),
    tokenCount: f32(),
    tokensRead: f32()
  }
  const objective = policy(loss, tail, pipeline.sampler.settings.temperature)
  const program = objectiveWithGradient(context.config, objective, names, remember)
  return livenessOf(program, { weights: keptTypes(pipeline, context), data }).peak
}

/** Reading the trunk with the first tokens, or the last tokens with the caches of all before. */
const samplingPeak = (pipeline: Pipeline, { config, frame }: Context): number => {
  const { trunk, tail, positions, groupSize, maxTokens } = sizesOf(pipeline, { config, frame })
  const documents = pipeline.batch.documentsPerUnit
  const sampling = { _tag: "temperature", temperature: pipeline.sampler.settings.temperature } as const
  const settings = { groupSize, sampling, stop: [0] }
  const rows = documents * positions * groupSize
  const lengths = segmentLengths(maxTokens)
  const weights = keptTypes(pipeline, { config, frame })
  const first = livenessOf((inputs: Parameters<typeof begin>[2]) => begin(config, settings, inputs), {
    weights,
    trunk: i32(documents, trunk),
    anchors: i32(documents, positions),
    tail: i32(tail),
    uniforms: f32(lengths[0], rows)
  })
  const last = lengths[lengths.length - 1]
  const { kvHeads, headDim, layers } = config
  const cache = (...shape: ReadonlyArray<number>) =>
    Array.from({ length: layers }, () => ({ k: f32(...shape, headDim), v: f32(...shape, headDim) }))
  const branches = positions * groupSize
  const caches = {
    trunkCache: cache(documents, kvHeads, trunk),
    branchCache: cache(documents, kvHeads, branches, tail + maxTokens - last)
  }
  const end = livenessOf((inputs: Parameters<typeof proceed>[2]) => proceed(config, settings, inputs), {
    weights,
    ...caches,
    kept: i32(documents, branches),
    anchors: i32(documents, branches),
    token: i32(rows),
    done: { dtype: "bool", shape: [rows] },
    uniforms: f32(last, rows)
  })
  // What comes out of a run is copied on the way.
  return Math.max(first.peak + first.outputs, end.inputs - totalBytes(Object.values(weights)) + end.peak + end.outputs)
}

const searchPeak = (pipeline: Pipeline, context: Context): number => {
  const { config } = context
  const tokens = i32(pipeline.batch.documentsPerUnit, sizesOf(pipeline, context).trunk)
  const read = (inputs: { weights: Parameters<typeof score>[1]; tokens: Parameters<typeof score>[2] }) =>
    score(config, inputs.weights, inputs.tokens)
  const { peak, outputs } = livenessOf(read, { weights: keptTypes(pipeline, context), tokens })
  return peak + outputs
}

/** As backends expand it: with these composites by kernels of their own. */
const livenessOf = <I>(program: (inputs: I) => unknown, inputs: TypeTree): Liveness =>
  liveness(expand(record(program as never, inputs).graph, kernels)) // the inputs are a tree of the program's types
const kernels = new Set(["softmax", "logSoftmax", "rmsNorm", "rotary"] as const)

const f32 = (...shape: ReadonlyArray<number>): TensorType => ({ dtype: "f32", shape })
const i32 = (...shape: ReadonlyArray<number>): TensorType => ({ dtype: "i32", shape })
