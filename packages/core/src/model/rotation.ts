import { HostTensor } from "../tensor/HostTensor.ts"
import { constant } from "../tensor/operations.ts"
import type { Tensor } from "../tensor/Tensor.ts"
import type { ModelConfig } from "./ModelConfig.ts"
import { rotaryFrequencies } from "./ModelConfig.ts"

/** Cosines and sines for rows of heads: [n, 1, dh/2] each. */
export interface Rotation {
  readonly cos: Tensor
  readonly sin: Tensor
}

/** Rotary tables for positions 0 to `positions` - 1, computed in float64; `at` looks up positions i32 [n]. */
export const rotation = (config: ModelConfig, positions: number): { readonly at: (positions: Tensor) => Rotation } => {
  const frequencies = rotaryFrequencies(config)
  const half = frequencies.length
  const table = (f: (angle: number) => number) =>
    constant(
      HostTensor.f32(
        [positions, half],
        Float32Array.from({ length: positions * half }, (_, i) => f(Math.floor(i / half) * frequencies[i % half]))
      )
    )
  const cos = table(Math.cos)
  const sin = table(Math.sin)
  return { at: (ids) => ({ cos: cos.gather(ids).expandDims(1), sin: sin.gather(ids).expandDims(1) }) }
}
