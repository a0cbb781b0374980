import type { Buffer } from "../tensor/Backend.ts"
import { adamwNumbers, decays } from "./adamw.ts"
import { globalNorm } from "./clip.ts"
import { muonApply, muonDirection } from "./muon.ts"
import type { Routine } from "./Routine.ts"
import { problemOf } from "./Routine.ts"
import { optimizerLoops } from "./simd/loops.ts"

/**
 * A routine as loops over the buffers' own memory: for backends whose buffers are the host's. Computed in float64 and
 * rounded once when stored; equal inputs give equal bits. Gives what the routine finds. Throws a RangeError for buffers
 * that do not fit, before anything has changed.
 */
export const applyOnHost = (routine: Routine, elements: (buffer: Buffer) => Float32Array): ReadonlyArray<number> => {
  const problem = problemOf(routine)
  if (problem !== undefined) throw new RangeError(problem)
  switch (routine._tag) {
    case "add": {
      const [totals, parts] = [routine.totals.map(elements), routine.parts.map(elements)]
      totals.forEach((total, i) => add(total, parts[i]))
      return []
    }
    case "norm":
      return [globalNorm(routine.gradients.map(elements), optimizerLoops().sumOfSquares)]
    case "adamw": {
      const { settings, step, scale } = routine
      const [weights, gradients] = [routine.weights.map(elements), routine.gradients.map(elements)]
      const loops = optimizerLoops()
      const [m, v] = [routine.m.map(elements), routine.v.map(elements)]
      for (const [i, { type }] of routine.weights.entries()) {
        const weightDecay = decays(type.shape) ? settings.weightDecay : 0
        const arrays = { param: weights[i], grad: gradients[i], m: m[i], v: v[i] }
        loops.adamw(arrays, adamwNumbers({ ...settings, weightDecay }, step, scale))
      }
      return []
    }
    case "muonDirection": {
      const [gradients, momentum] = [routine.gradients.map(elements), routine.momentum.map(elements)]
      const { settings, scale } = routine
      gradients.forEach((gradient, i) => muonDirection(gradient, momentum[i], gradient, settings, scale))
      return []
    }
    case "muonApply": {
      const [weights, directions] = [routine.weights.map(elements), routine.directions.map(elements)]
      for (const [i, { type }] of routine.weights.entries()) {
        const [rows, columns] = type.shape
        muonApply(weights[i], directions[i], [rows, columns], routine.settings)
      }
      return []
    }
  }
}

const add = (total: Float32Array, part: Float32Array): void => {
  for (let i = 0; i < total.length; i++) total[i] += part[i]
}
