import { isHalf } from "../tensor/HostTensor.ts"
import type { Tensor } from "../tensor/Tensor.ts"
import { gelu, layerNorm } from "./formulas.ts"
import { adapted } from "./Lora.ts"
import type { ModelConfig } from "./ModelConfig.ts"
import { namesOf } from "./parameters.ts"
import type { Turn } from "./rotation.ts"
import type { WeightsOf } from "./Transformer.ts"

/** What attention does with queries [n, H·dh], keys and values [n, Hk·dh]; gives [n, H·dh]. */
export type Attend = (q: Tensor, k: Tensor, v: Tensor) => Tensor

/** One layer over rows [n,d]: attention, then the MLP, each normalised before and added to what came in. */
export const block = (
  config: ModelConfig,
  weights: WeightsOf<Tensor>,
  layer: number,
  x: Tensor,
  turn: Turn,
  attend: Attend
): Tensor => {
  const { heads, kvHeads, headDim, bias, mlp } = config
  const names = namesOf(config)
  const at = (part: string): string => `${names.layer(layer)}.${part}`
  const linear = (input: Tensor, part: string, biased: boolean): Tensor => {
    const name = `${at(part)}.weight`
    const product = input.matmul(wide(weights[name]), { transposeB: names.stored === "outIn" })
    const whole = adapted(config.lora, weights, name, input, product)
    return biased ? whole.add(wide(weights[`${at(part)}.bias`])) : whole
  }
  const turned = (rows: Tensor, count: number, gain: string): Tensor => {
    const apart = rows.reshape([-1, count, headDim])
    return turn(config.qkNorm ? norm(config, weights, at(gain), apart) : apart).reshape(rows.shape)
  }

  const normed = norm(config, weights, at(names.attentionNorm), x)
  const [q, k, v] =
    names.qkv._tag === "apart"
      ? [names.qkv.q, names.qkv.k, names.qkv.v].map((part) => linear(normed, part, bias.qkv))
      : split(linear(normed, names.qkv.all, bias.qkv), [heads * headDim, kvHeads * headDim, kvHeads * headDim])
  const mixed = attend(turned(q, heads, names.qNorm), turned(k, kvHeads, names.kNorm), v)
  const after = x.add(linear(mixed, names.output, bias.output))

  const inner = norm(config, weights, at(names.mlpNorm), after)
  const up = linear(inner, names.up, bias.mlp)
  const active = mlp._tag === "swiglu" ? linear(inner, names.gate, bias.mlp).swiglu(up) : gelu(up, mlp.by)
  return after.add(linear(active, names.down, bias.mlp))
}

/**
 * A weight as it is computed with. One that is kept in two bytes is widened where it is used, inside the loop that decodes too, so
 * that a backend can let go of it again.
 */
export const wide = (weight: Tensor): Tensor => (isHalf(weight.dtype) ? weight.cast("f32") : weight)

/** The norm called `name` along the last axis. */
export const norm = ({ norm }: ModelConfig, weights: WeightsOf<Tensor>, name: string, x: Tensor): Tensor =>
  norm._tag === "rms"
    ? x.rmsNorm(wide(weights[`${name}.weight`]), norm.eps)
    : layerNorm(x, wide(weights[`${name}.weight`]), wide(weights[`${name}.bias`]), norm.eps)

/** Columns of rows [n, Σ widths], one part behind the other. */
const split = (rows: Tensor, widths: ReadonlyArray<number>): ReadonlyArray<Tensor> => {
  const ends = widths.map((_, i) => widths.slice(0, i + 1).reduce((a, b) => a + b))
  return widths.map((width, i) => rows.sliceAxis(1, ends[i] - width, ends[i]))
}
