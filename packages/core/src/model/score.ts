import type { Tensor } from "../tensor/Tensor.ts"
import { inBlocks, rowsAtATime } from "./inBlocks.ts"
import type { ModelConfig } from "./ModelConfig.ts"
import type { WeightsOf } from "./Transformer.ts"
import { encode, projection } from "./Transformer.ts"

/** k of the top-k entropies: the method's 16, or the whole of a smaller vocabulary. */
const TOP = 16

/** Every position of documents [D,T]; position i speaks of token i + 1, the last one of nothing known. Nats. */
export interface Scores {
  /** f32 [D,T]: log-probability of the next token; at the last position that of token 0, to be ignored */
  readonly logprobs: Tensor
  /** i32 [D,T]: the most probable next token */
  readonly argmax: Tensor
  /** f32 [D,T] */
  readonly entropy: Tensor
  /** f32 [D,T,16]: the largest log-probabilities, descending */
  readonly top: Tensor
}

/** All that a plain reading of documents tells: one trunk pass, no branches. */
export const score = (config: ModelConfig, weights: WeightsOf<Tensor>, tokens: Tensor): Scores => {
  const [documents, length] = tokens.shape
  const hidden = encode(config, weights, tokens, []).trunk.reshape([documents * length, config.hiddenSize])
  const next = tokens
    .pad([0, 0], [0, 1])
    .sliceAxis(1, 1, length + 1)
    .reshape([-1])
  const given = { hidden, next }
  const fixed = { vocabulary: projection(config, weights) }
  const scores = inBlocks(given, fixed, rowsAtATime(config.vocabSize), ({ hidden, next }, { vocabulary }) => {
    const logits = hidden.matmul(vocabulary, { transposeB: true })
    const logprobs = logits.logSoftmax()
    return {
      logprobs: logprobs.pick(next),
      argmax: logits.argmax(),
      entropy: logprobs.exp().mul(logprobs).sum(1).neg(),
      top: logprobs.topK(Math.min(TOP, config.vocabSize))
    }
  })
  const perPosition = (x: Tensor) => x.reshape([documents, length, ...x.shape.slice(1)])
  return {
    logprobs: perPosition(scores.logprobs),
    argmax: perPosition(scores.argmax),
    entropy: perPosition(scores.entropy),
    top: perPosition(scores.top)
  }
}
