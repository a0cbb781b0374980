import { HostTensor } from "../tensor/HostTensor.ts"
import { constant } from "../tensor/operations.ts"
import type { Tensor } from "../tensor/Tensor.ts"
import type { ModelConfig } from "./ModelConfig.ts"
import { rotaryFrequencies, rotaryScale } from "./Rope.ts"

/** Turns heads [n,·,dh], each row by its own position. */
export type Turn = (heads: Tensor) => Tensor

/**
 * The turn of rows that stand at positions i32 [n], all below `longest`; none where positions are learned. The tables are
 * computed in float64.
 */
export const turnAt = ({ positions: kind, headDim }: ModelConfig, longest: number, positions: Tensor): Turn => {
  if (kind._tag === "learned") return (heads) => heads
  const frequencies = rotaryFrequencies(kind.rope, headDim)
  const scale = rotaryScale(kind.rope)
  const half = frequencies.length
  const table = (f: (angle: number) => number) =>
    constant(
      HostTensor.f32(
        [longest, half],
        Float32Array.from({ length: longest * half }, (_, i) => scale * f(Math.floor(i / half) * frequencies[i % half]))
      )
    )
      .gather(positions)
      .expandDims(1)
  const [cos, sin] = [table(Math.cos), table(Math.sin)]
  return (heads) => heads.rotary(cos, sin)
}
