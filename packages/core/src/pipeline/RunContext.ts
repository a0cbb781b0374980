import type { Tokenizer } from "../data/Tokenizer.ts"
import type { ModelConfig } from "../model/ModelConfig.ts"
import { tokenIds } from "../model/ModelConfig.ts"
import type { Template } from "../prompt/Template.ts"
import type { Frame } from "../rl/Batch.ts"

/** What every stage of a run is given. Plain data: nothing in it changes while the run lasts. */
export interface RunContext {
  readonly seed: number
  readonly config: ModelConfig
  readonly tokenizer: Tokenizer
  readonly template: Template
  /** The template's tokens: what stands before every context, and what every branch begins with. */
  readonly frame: Frame
  /** Tokens that end a completion. */
  readonly stop: ReadonlyArray<number>
}

export const makeRunContext = (given: Pick<RunContext, "seed" | "config" | "tokenizer" | "template">): RunContext => {
  const { config, tokenizer, template } = given
  const prefix = template.opening === "in-head" ? [] : tokenizer.prefix
  const head = [...prefix, ...tokenizer.encodePrompt(template.head, "opens")]
  const known = template.stop.map(tokenizer.tokenId)
  const stop = [...known, tokenizer.eos, ...tokenIds(config.eos)].filter((id) => id !== undefined)
  return {
    ...given,
    frame: { head: Int32Array.from(head), tail: tokenizer.encodePrompt(template.tail, "continues") },
    stop: [...new Set(stop)].toSorted((a, b) => a - b)
  }
}
