import { score } from "../model/score.ts"
import type { ModelConfig } from "../model/ModelConfig.ts"
import type { WeightsOf } from "../model/Transformer.ts"
import type { Weights } from "../model/weights.ts"
import { nextToken } from "../rl/objective.ts"
import { Graph } from "../tensor/Graph.ts"
import { HostTensor } from "../tensor/HostTensor.ts"
import type { HostTensor as Host, TensorType } from "../tensor/HostTensor.ts"
import type { Tensor } from "../tensor/Tensor.ts"
import { flatten } from "../tensor/Tree.ts"
import { objectiveWithGradient } from "./gradientProgram.ts"

/** A program with values for its inputs. */
export interface ReadyProgram {
  readonly graph: Graph
  readonly inputs: ReadonlyArray<Host>
}

/**
 * What a text [T] goes through: a plain reading, or with `gradient` a step of next-token prediction (the mean over its tokens)
 * with the gradient in `trainable`. Inputs are called by the weights' names.
 */
export const textProgram = (
  config: ModelConfig,
  weights: Weights,
  ids: Int32Array,
  gradient: ReadonlyArray<string> | "none"
): ReadyProgram => {
  const types = (values: Readonly<Record<string, TensorType>>) =>
    Object.fromEntries(Object.entries(values).map(([name, { dtype, shape }]) => [name, { dtype, shape }]))
  const trunk = HostTensor.i32([1, ids.length], ids)
  if (gradient === "none") {
    const values = { ...weights, tokens: trunk }
    const { graph } = Graph.trace(
      ({ tokens, ...own }: WeightsOf<Tensor>) => ({ ...score(config, own, tokens) }),
      types(values)
    )
    return { graph, inputs: flatten<Host>(values) }
  }
  const share = (_: number, at: number) => (at === 0 ? 0 : 1 / (ids.length - 1))
  const data = { trunk, trunkWeights: HostTensor.f32([1, ids.length], Float32Array.from(ids, share)) }
  const values = { ...weights, ...data }
  const program = objectiveWithGradient(config, nextToken, gradient, "all")
  const { graph } = Graph.trace(({ trunk, trunkWeights, ...own }: WeightsOf<Tensor>) => {
    const { loss, gradients } = program({ weights: own, data: { trunk, trunkWeights } })
    return { loss, gradients }
  }, types(values))
  return { graph, inputs: flatten<Host>(values) }
}
