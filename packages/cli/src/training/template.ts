import { Template } from "@foretoken/core"
import type { Tokenizer } from "@foretoken/core"

/** The template by name; by default compact where the vocabulary has its tokens, else boxed. */
export const templateOf = (
  name: "boxed" | "compact" | undefined,
  tokenizer: Tokenizer.Tokenizer
): Template.Template => {
  const usual = tokenizer.tokenId(Template.compact.tail) === undefined ? "boxed" : "compact"
  return (name ?? usual) === "boxed" ? Template.boxed : Template.compact
}
