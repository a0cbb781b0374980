/**
 * Whether there is an answer at all.
 *
 *   r = 1  iff  the parse of the completion is `answered`;  else 0
 *
 * Source: DeepSeek-R1, arXiv 2501.12948, section 2.2.2 (format reward). It says nothing of what is answered, so it belongs
 * under a small weight beside a reward that does.
 */
import { verifier } from "./Claims.ts"
import { pure } from "./Reward.ts"

export const format = pure("format", ({ prediction }) => (prediction.outcome === "answered" ? 1 : 0), {
  ...verifier,
  prefix: ["complete"]
})
