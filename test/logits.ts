import { encode } from "../packages/core/src/index.ts"
import type { ModelConfig, Tensor, Weights, WeightsOf } from "../packages/core/src/index.ts"
import { projection } from "../packages/core/src/model/Transformer.ts"
import { fromHost } from "../packages/core/src/tensor/Reference.ts"
import { compute, int } from "../packages/core/test/model/numbers.ts"

/** [T,V] of one text. */
export const logitsOf = (config: ModelConfig, weights: Weights, ids: ReadonlyArray<number>): ArrayLike<number> =>
  compute(
    (inputs: { weights: WeightsOf<Tensor>; tokens: Tensor }) => {
      const hidden = encode(config, inputs.weights, inputs.tokens, []).trunk.reshape([ids.length, config.hiddenSize])
      return hidden.matmul(projection(config, inputs.weights), { transposeB: true })
    },
    {
      weights: Object.fromEntries(Object.entries(weights).map(([name, value]) => [name, fromHost(value)])),
      tokens: int([1, ids.length], ids)
    }
  ).data
