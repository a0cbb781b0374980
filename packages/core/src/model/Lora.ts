import { Schema } from "effect"
import { uniforms } from "../random/draw.ts"
import { sizeOf } from "../tensor/HostTensor.ts"
import type { HostF32, Shape } from "../tensor/HostTensor.ts"
import type { Tensor } from "../tensor/Tensor.ts"

/**
 * Low-rank adapters beside the projections of a model: each targeted y = x·Wᵀ becomes
 *
 *   y = x·Wᵀ + s (x·Aᵀ)·Bᵀ,    A [rank, in], B [out, rank],    s = alpha / rank, or alpha / sqrt(rank) where `rankStabilized`
 *
 * Only A and B are trained. Source: Hu et al., "LoRA", arXiv 2106.09685, section 4.1; the second scale: Kalajdzievski, arXiv
 * 2312.03732. Names, files and the scales are those of PEFT, and what it can do beyond this is refused by name.
 */
export const Lora = Schema.Struct({
  /** The base model, as adapter_config.json names it: a directory, or a name that says where the weights came from. */
  base: Schema.String,
  rank: Schema.Int,
  alpha: Schema.Finite,
  /** Modules by the end of their names, as PEFT has them: "q_proj" are the query projections of all layers. */
  targets: Schema.Array(Schema.String),
  rankStabilized: Schema.Boolean
})
export type Lora = typeof Lora.Type

/** Adapters as a user asks for them. */
export interface LoraOptions {
  readonly rank?: number
  /** Default: twice the rank. */
  readonly alpha?: number
  /** Default: every projection of every layer. */
  readonly targets?: ReadonlyArray<string>
  readonly rankStabilized?: boolean
  /** A is drawn from it. */
  readonly seed?: number
}

/** s */
export const loraScale = ({ rank, alpha, rankStabilized }: Lora): number =>
  alpha / (rankStabilized ? Math.sqrt(rank) : rank)

const suffix = ".weight"

/** The module that a weight is of: its name without `.weight`. */
const moduleOf = (weight: string): string => weight.slice(0, -suffix.length)

export const isTarget = ({ targets }: Pick<Lora, "targets">, weight: string): boolean =>
  weight.endsWith(suffix) &&
  targets.some((target) => moduleOf(weight) === target || moduleOf(weight).endsWith(`.${target}`))

/** The names of a projection's adapters. */
export const adapterNames = (weight: string): { readonly a: string; readonly b: string } => ({
  a: `${moduleOf(weight)}.lora_A${suffix}`,
  b: `${moduleOf(weight)}.lora_B${suffix}`
})

export const isAdapter = (name: string): boolean => /\.lora_[AB]\.weight$/.test(name)

/** Names and shapes of the adapters of a weight, `out` by `in`, where it has any. */
export function* adapterShapes(lora: Lora, weight: string, out: number, into: number): Generator<[string, Shape]> {
  if (!isTarget(lora, weight)) return
  const { a, b } = adapterNames(weight)
  yield [a, [lora.rank, into]]
  yield [b, [out, lora.rank]]
}

/** What the adapters of a projection add to its output: nothing where it has none. `x` [n,in], `y` [n,out]. */
export const adapted = (
  lora: Lora | undefined,
  weights: Readonly<Record<string, Tensor>>,
  weight: string,
  x: Tensor,
  y: Tensor
): Tensor => {
  if (lora === undefined || !isTarget(lora, weight)) return y
  const { a, b } = adapterNames(weight)
  const low = x.matmul(weights[a], { transposeB: true }).mul(loraScale(lora))
  return y.add(low.matmul(weights[b], { transposeB: true }))
}

/**
 * Adapters that change nothing yet: B is zero, A uniform within ±1 / sqrt(in). Source: PEFT's default, which is PyTorch's of
 * a linear layer (Kaiming uniform with a = sqrt(5)).
 */
export const initialAdapter = (name: string, shape: Shape, seed: number): HostF32 => {
  if (name.endsWith(`.lora_B${suffix}`)) return { dtype: "f32", shape, data: new Float32Array(sizeOf(shape)) }
  const bound = 1 / Math.sqrt(shape[1])
  const data = uniforms(seed, ["adapter", name], sizeOf(shape))
  for (let i = 0; i < data.length; i++) data[i] = bound * (2 * data[i] - 1)
  return { dtype: "f32", shape, data }
}

/** W + s·B·A, each element rounded once: of a weight that is stored [out,in], or [in,out] where `transposed`. */
export const mergedWeight = (lora: Lora, weight: HostF32, a: HostF32, b: HostF32, transposed: boolean): HostF32 => {
  const [out, rank] = b.shape
  const into = a.shape[1]
  const scale = loraScale(lora)
  const data = weight.data.slice()
  const row = new Float64Array(into)
  for (let o = 0; o < out; o++) {
    row.fill(0)
    for (let r = 0; r < rank; r++) {
      const factor = scale * b.data[o * rank + r]
      for (let i = 0; i < into; i++) row[i] += factor * a.data[r * into + i]
    }
    for (let i = 0; i < into; i++) data[transposed ? i * out + o : o * into + i] += row[i]
  }
  return { dtype: "f32", shape: weight.shape, data }
}

/** What is wrong with adapters for a model whose projections, in layers, are `projections`; undefined where nothing is. */
export const loraProblem = (lora: Lora, projections: ReadonlyArray<string>): string | undefined => {
  if (!(Number.isSafeInteger(lora.rank) && lora.rank >= 1))
    return `the rank must be a whole number >= 1, not ${lora.rank}`
  if (!(lora.alpha > 0 && lora.alpha < Infinity)) return `alpha must be a positive number, not ${lora.alpha}`
  if (lora.targets.length === 0) return "no projection is targeted"
  const lost = lora.targets.find((target) => !projections.some((weight) => isTarget({ targets: [target] }, weight)))
  if (lost === undefined) return undefined
  return `no projection of this model is called ${JSON.stringify(lost)}; it has ${lastNames(projections).join(", ")}`
}

/** The last parts of the names of projections, each once: what targets are called by default. */
export const lastNames = (projections: ReadonlyArray<string>): ReadonlyArray<string> => [
  ...new Set(projections.map((weight) => moduleOf(weight).slice(moduleOf(weight).lastIndexOf(".") + 1)))
]
