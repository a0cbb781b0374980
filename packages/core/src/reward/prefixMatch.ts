/**
 * The paper's reward.
 *
 *   r = 1  iff  bytes(y) is a prefix of bytes(x_>=t)  and  |bytes(y)| in L_gt;  else 0
 *
 * y is the prediction, x_>=t the true continuation, L_gt the cumulative byte lengths of its tokens as they stand in the
 * document. Source: Reinforcement Pre-Training, arXiv 2506.08007, section 3.2 (prefix matching reward).
 *
 * Where we are explicit: the empty prediction never wins, even when a token of zero bytes puts 0 into L_gt. A longer
 * right prediction earns no more than a right one of a single token.
 */
import type { Continuation } from "../data/NextToken.ts"
import { startsWith } from "../prompt/bytes.ts"
import { prefixVerifier } from "./Claims.ts"
import { pure } from "./Reward.ts"

/** True when `prediction` is the whole of the first n >= 1 tokens of the continuation, byte for byte. */
export const matchesPrefix = (prediction: Uint8Array, continuation: Continuation): boolean =>
  prediction.length > 0 &&
  continuation.boundaries.includes(prediction.length) &&
  startsWith(continuation.bytes, prediction)

export const prefixMatch = pure(
  "prefixMatch",
  ({ prediction }, { continuation }) =>
    prediction.outcome === "answered" && matchesPrefix(prediction.bytes, continuation) ? 1 : 0,
  prefixVerifier
)
