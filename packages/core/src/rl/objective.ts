/**
 * What a step of training minimises, as tensor programs over one micro-batch of documents with their branches. Each gives
 * the micro-batch's share of the loss (a sum divided by a count of the whole batch) and sums for the metrics.
 */
import type { ModelConfig } from "../model/ModelConfig.ts"
import { branchLogprobs, targetLogprobs, trunkLogprobs, withoutLast } from "../model/tokenLogprobs.ts"
import { asDecoded } from "../model/segments.ts"
import type { WeightsOf } from "../model/Transformer.ts"
import { encode } from "../model/Transformer.ts"
import type { Shape } from "../tensor/HostTensor.ts"
import type { Tensor } from "../tensor/Tensor.ts"
import { policyLoss } from "./policyLoss.ts"
import { behaviourLogprobs as asBehaviour, currentLogprobs, maskTensor } from "./Logprobs.ts"
import type { Loss } from "./loss.ts"

/** The tensors that an objective reads beside the weights, by name. */
export type Data = Readonly<Record<string, Tensor>>

/** The loss and what is reported of it, all scalars. Over micro-batches loss and `sums` add up, of `maxima` the largest counts. */
export interface Minimised {
  readonly loss: Tensor
  readonly sums: Readonly<Record<string, Tensor>>
  readonly maxima: Readonly<Record<string, Tensor>>
}

export type Objective = (config: ModelConfig, weights: WeightsOf<Tensor>, data: Data) => Minimised

/**
 * Next-token prediction: -Σ weight · log p. Data: `trunk` i32 [D,T], `trunkWeights` f32 [D,T] (the weight of each token
 * as a target; 0 on padding and on the first token).
 */
export const nextToken: Objective = (config, weights, { trunk, trunkWeights }) => {
  const logprobs = trunkLogprobs(config, weights, encode(config, weights, trunk, []), trunk)
  return { loss: weighted(logprobs, trunkWeights.sliceAxis(1, 1, trunk.shape[1])), sums: {}, maxima: {} }
}

/**
 * Supervised traces beside the text: -Σ weight · log p over branch tokens and over trunk tokens. Data: that of
 * `nextToken` and `branches` i32 [D,B,L], `anchors` i32 [D,B], `branchWeights` f32 [D,B,L].
 */
export const supervised: Objective = (config, weights, { trunk, trunkWeights, branches, anchors, branchWeights }) => {
  const hung = { tokens: branches, anchors }
  const encoded = encode(config, weights, trunk, [withoutLast(hung)])
  const ofBranches = weighted(
    branchLogprobs(config, weights, encoded, hung, 1, 1),
    branchWeights.sliceAxis(2, 1, branches.shape[2])
  )
  const ofTrunk = weighted(trunkLogprobs(config, weights, encoded, trunk), trunkWeights.sliceAxis(1, 1, trunk.shape[1]))
  return { loss: ofBranches.add(ofTrunk), sums: { "loss/branches": ofBranches, "loss/trunk": ofTrunk }, maxima: {} }
}

/**
 * The policy loss on rollouts. Data: `trunk`, `branches`, `anchors`, and aligned to the branches `mask` and
 * `behaviourLogprobs` f32 [D,B,L], `advantages` f32 [D,B], `tokenCount` f32 [] (of the whole batch) and `tokensRead` f32 []
 * (of all micro-batches: without the groups that are left out because nothing is to be learned from them), of which the
 * metrics are means. The tail's `given` tokens are no targets; branches are read in the stretches that they were decoded in. With `targets` i32 [N], places over [D,B,L] that hold all
 * tokens of the mask and are filled up with some that are not, only those go through the vocabulary.
 */
export const policy =
  (loss: Loss, given: number, temperature: number): Objective =>
  (config, weights, data) => {
    const { trunk, branches, anchors, tokenCount, tokensRead } = data
    const hung = { tokens: branches, anchors }
    const encoded = encode(config, weights, trunk, [withoutLast(hung)], (length) => asDecoded(given, length))
    const { at, advantages, logprobs } =
      "targets" in data
        ? ofTargets(data.targets, data.advantages, branches.shape, () =>
            targetLogprobs(config, weights, encoded, hung, data.targets, temperature)
          )
        : {
            at: (x: Tensor) => x.sliceAxis(2, given, branches.shape[2]),
            advantages: data.advantages,
            logprobs: branchLogprobs(config, weights, encoded, hung, given, temperature)
          }
    const result = policyLoss(loss, {
      logprobs: currentLogprobs(logprobs),
      behaviourLogprobs: asBehaviour(at(data.behaviourLogprobs)),
      mask: maskTensor(at(data.mask)),
      advantages,
      tokenCount
    })
    return {
      loss: result.loss,
      sums: {
        approx_kl: result.klSum.div(tokensRead),
        clipfrac: result.cutSum.div(tokensRead),
        "ratio/mean": result.ratioSum.div(tokensRead)
      },
      maxima: { "logprob_gap/max": result.logprobGap }
    }
  }

/** The targets [N] as one row of branches of a single token each, [1,N,1]. */
const ofTargets = (targets: Tensor, advantages: Tensor, shape: Shape, logprobs: () => Tensor) => {
  const [count] = targets.shape
  const at = (x: Tensor) => x.reshape([-1]).gather(targets).reshape([1, count, 1])
  const spread = advantages.expandDims(2).broadcastTo(shape)
  return { at, advantages: at(spread).reshape([1, count]), logprobs: logprobs().reshape([1, count, 1]) }
}

const weighted = (logprobs: Tensor, weights: Tensor): Tensor => logprobs.mul(weights).sum().neg()
