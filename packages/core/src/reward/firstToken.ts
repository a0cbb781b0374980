/**
 * Only the first token counts.
 *
 *   r = 1  iff  bytes(x_t) is a prefix of bytes(y);  else 0
 *
 * y is the prediction, x_t the true next token. Source: Reinforcement Pre-Training, arXiv 2506.08007, the rewards it compares
 * (first-token matching).
 *
 * Where we are explicit: bytes are compared, not tokens of the prediction, so whatever follows the first token is not
 * judged, and "about" wins where "a" was true. `prefixMatch` is the strict one. A token of no bytes cannot be predicted:
 * the first one that has some counts.
 */
import { startsWith } from "../prompt/bytes.ts"
import { verifier } from "./Claims.ts"
import { pure } from "./Reward.ts"

export const firstToken = pure(
  "firstToken",
  ({ prediction }, { continuation: { bytes, boundaries } }) => {
    const length = boundaries.find((boundary) => boundary > 0)
    if (prediction.outcome !== "answered" || length === undefined) return 0
    return startsWith(prediction.bytes, bytes.subarray(0, length)) ? 1 : 0
  },
  { ...verifier, prefix: ["complete"] }
)
