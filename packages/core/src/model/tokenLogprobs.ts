import { selectedLogProb } from "../tensor/operations.ts"
import type { Tensor } from "../tensor/Tensor.ts"
import type { ModelConfig } from "./ModelConfig.ts"
import type { Branches, Encoded, WeightsOf } from "./Transformer.ts"
import { projection } from "./Transformer.ts"

/** Log-probability (nats) of each trunk token but the first, given those before it: f32 [D,T-1]. */
export const trunkLogprobs = (
  config: ModelConfig,
  weights: WeightsOf<Tensor>,
  encoded: Encoded,
  tokens: Tensor
): Tensor => {
  const [documents, length] = tokens.shape
  const hidden = encoded.trunk.sliceAxis(1, 0, length - 1).reshape([-1, config.hiddenSize])
  const ids = tokens.sliceAxis(1, 1, length).reshape([-1])
  return selectedLogProb(hidden, projection(config, weights), ids).reshape([documents, length - 1])
}

/** Branches as they have to be read to tell how probable their tokens are: nothing follows the last one. */
export const withoutLast = ({ tokens, anchors }: Branches): Branches => ({
  tokens: tokens.sliceAxis(2, 0, Math.max(1, tokens.shape[2] - 1)),
  anchors
})

/**
 * Log-probability of each branch token after the first `given` ones (the template's tail, >= 1), under the policy at
 * `temperature`: f32 [D,B,L-given]. What is encoded may lack the last tokens (`withoutLast`).
 */
export const branchLogprobs = (
  config: ModelConfig,
  weights: WeightsOf<Tensor>,
  encoded: Encoded,
  { tokens }: Branches,
  given: number,
  temperature: number
): Tensor => {
  const [documents, branches, length] = tokens.shape
  const hidden = encoded.branches[0].sliceAxis(2, given - 1, length - 1).reshape([-1, config.hiddenSize])
  const ids = tokens.sliceAxis(2, given, length).reshape([-1])
  const scaled = temperature === 1 ? hidden : hidden.mul(1 / temperature)
  return selectedLogProb(scaled, projection(config, weights), ids).reshape([documents, branches, length - given])
}

/**
 * Log-probability of some branch tokens under the policy at `temperature`: f32 [N]. `targets` i32 [N] counts tokens over
 * [D,B,L]; no logits are made for any other. A token that begins a branch has no prediction: what is given for it is
 * to be ignored.
 */
export const targetLogprobs = (
  config: ModelConfig,
  weights: WeightsOf<Tensor>,
  encoded: Encoded,
  { tokens }: Branches,
  targets: Tensor,
  temperature: number
): Tensor => {
  const [read] = encoded.branches
  const all = read.pad([0, 0, 0, 0], [0, 0, tokens.shape[2] - read.shape[2], 0])
  const hidden = all.reshape([-1, config.hiddenSize]).gather(targets.sub(1).maximum(0))
  const scaled = temperature === 1 ? hidden : hidden.mul(1 / temperature)
  return selectedLogProb(scaled, projection(config, weights), tokens.reshape([-1]).gather(targets))
}
