import { lastIndexOf, utf8 } from "../prompt/bytes.ts"
import type { Rollout } from "../rl/Rollout.ts"
import type { RunContext } from "./RunContext.ts"

/**
 * The tokens of a rollout up to where its answer begins: its thought, the think end and what opens an answer, as it wrote
 * them as far as that goes. Where the think end shares a token with something else, or never came, it is spelled anew;
 * the stop token of a completion without one is left out.
 */
export const leadToAnswer = (
  { template, tokenizer }: Pick<RunContext, "template" | "tokenizer">,
  { completion, bytes }: Pick<Rollout, "completion" | "bytes">
): Int32Array => {
  const { thinkEnd, answer } = template
  const open = answer.form === "braced" ? answer.open : ""
  const spell = (marker: string) => tokenizer.encodePrompt(marker, "continues")
  const marker = utf8(thinkEnd)
  const start = lastIndexOf(bytes, marker)
  const { tokens, ended } = completion
  if (start < 0) {
    const thought = ended === "stop" ? tokens.subarray(0, -1) : tokens
    return Int32Array.from([...thought, ...spell(thinkEnd + open)])
  }
  /** Tokens that end within the first `limit` bytes, and the bytes they cover. */
  const within = (limit: number) => {
    let covered = 0
    let count = 0
    while (count < tokens.length && covered + tokenizer.bytes(tokens[count]).length <= limit) {
      covered += tokenizer.bytes(tokens[count++]).length
    }
    return { thought: tokens.subarray(0, count), covered }
  }
  const end = start + marker.length
  const whole = within(end)
  if (whole.covered === end) return Int32Array.from([...whole.thought, ...spell(open)])
  return Int32Array.from([...within(start).thought, ...spell(thinkEnd + open)])
}
