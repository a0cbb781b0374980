import { chatTemplate, Template } from "@foretoken/core"
import type { ChatTemplateError, Tokenizer } from "@foretoken/core"
import * as Effect from "effect/Effect"
import type { TemplateName } from "../flags.ts"

/** The template by name; by default compact where the vocabulary has its tokens, else boxed. */
export const templateOf = (
  name: TemplateName | undefined,
  tokenizer: Tokenizer.Tokenizer
): Effect.Effect<Template.Template, ChatTemplateError> => {
  if (name === "chat") return Effect.fromResult(chatTemplate(tokenizer))
  const usual = tokenizer.tokenId(Template.compact.tail) === undefined ? "boxed" : "compact"
  return Effect.succeed(Template.builtin[name ?? usual])
}
