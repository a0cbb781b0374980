import type { KeptWeights } from "../model/weights.ts"
import { HostTensor } from "../tensor/HostTensor.ts"
import type { Baseline } from "./messages.ts"

/**
 * The baseline moves towards a policy, once for each new version: decay · old + (1 - decay) · new. Source: RLP,
 * arXiv 2510.01265, section 2.
 */
export const followPolicy = (baseline: Baseline, { version, weights }: Baseline, decay: number): Baseline =>
  baseline.version === version ? baseline : { version, weights: movedTowards(baseline.weights, weights, decay) }

const movedTowards = (from: KeptWeights, to: KeptWeights, decay: number): KeptWeights =>
  Object.fromEntries(
    Object.entries(from).map(([name, value]) => {
      // What training leaves alone stays the same to the bit.
      if (to[name] === value || value.dtype !== "f32") return [name, value]
      const { shape, data } = value
      const target = to[name].data
      return [
        name,
        HostTensor.f32(
          shape,
          data.map((value, i) => decay * value + (1 - decay) * target[i])
        )
      ]
    })
  )
