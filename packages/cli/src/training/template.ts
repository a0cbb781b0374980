import { Template } from "@foretoken/core"
import type { Tokenizer } from "@foretoken/core"
import type { TemplateName } from "../flags.ts"

/** The template by name; by default compact where the vocabulary has its tokens, else boxed. */
export const templateOf = (name: TemplateName | undefined, tokenizer: Tokenizer.Tokenizer): Template.Template => {
  const usual = tokenizer.tokenId(Template.compact.tail) === undefined ? "boxed" : "compact"
  return Template.builtin[name ?? usual]
}
