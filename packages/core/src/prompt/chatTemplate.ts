/**
 * A prompt made from a model's own chat template: the user says text and question, the assistant begins to think.
 *
 *   trunk:  head (all that opens the turn) + context      branch:  tail (question, end of the turn, opened thought) + completion
 *
 * The question stands behind the context, so that all questions about a document share its reading. Contexts are put
 * between the two as they are and never go through the template. That is the prompt which the template itself would write
 * only if it leaves alone what it is given, so this is tried out: with texts that templates are known to trim, escape or cut, head +
 * context + tail has to be what the template renders, byte for byte.
 */
import { Template as Jinja } from "@huggingface/jinja"
import { Result, Schema } from "effect"
import { boxed } from "./Template.ts"
import type { Template } from "./Template.ts"

/** A chat template that cannot be used for questions about a text, and why. */
export class ChatTemplateError extends Schema.TaggedError<ChatTemplateError>()("ChatTemplateError", {
  model: Schema.String,
  problem: Schema.String
}) {
  override get message(): string {
    return `the chat template of ${this.model} ${this.problem}; --template boxed asks without one`
  }
}

/** What a template needs of a tokenizer. */
export interface ChatVocabulary {
  readonly name: string
  /** The Jinja source; undefined where a model has none. */
  readonly chatTemplate: string | undefined
  /** Contents of the tokens that a template may write, by the names it knows them by: bos_token, eos_token, … */
  readonly namedTokens: Readonly<Record<string, string>>
  readonly specialTokens: ReadonlyArray<string>
  readonly tokenId: (content: string) => number | undefined
}

/** The template `chat` of a model. */
export const chatTemplate = (vocabulary: ChatVocabulary): Result.Result<Template, ChatTemplateError> => {
  const { name, chatTemplate: source } = vocabulary
  const fail = (problem: string) => Result.fail(new ChatTemplateError({ model: name, problem }))
  if (source === undefined) {
    return fail("is not there: neither chat_template.jinja nor chat_template in tokenizer_config.json")
  }
  try {
    const render = renderer(source, vocabulary.namedTokens)
    const ask = (context: string) => render([asUser(`${lead}${context}${questionOf(vocabulary)}`)], true)
    const parts = ask(marker).split(marker)
    if (parts.length !== 2) return fail(`writes the message of the user ${parts.length - 1} times; once was expected`)
    const [head, rest] = parts
    const altered = probes.find((probe) => ask(probe) !== head + probe + rest)
    if (altered !== undefined)
      return fail(`changes what it is given: it does not keep ${JSON.stringify(altered.slice(0, 40))}`)
    return Result.succeed({
      name: "chat",
      head,
      opening: "in-head",
      tail: rest.trimEnd().endsWith(thinkStart) ? rest : `${rest}${thinkStart}\n`,
      stop: [...new Set([...endOfTurn(render, vocabulary.specialTokens), ...boxed.stop])],
      thinkEnd,
      answer: boxed.answer
    })
  } catch (cause) {
    return fail(`cannot be rendered: ${cause instanceof Error ? cause.message.split("\n")[0] : String(cause)}`)
  }
}

/** Something that is no white space stands on both sides of the context, so that templates which trim a message keep it whole. */
const lead = "### Text\n"
const thinkStart = "<think>"
const thinkEnd = "</think>"

/** Models that think of their own accord have a token for it; others are told how a thought ends. */
const questionOf = ({ tokenId }: Pick<ChatVocabulary, "tokenId">): string => {
  const ending = tokenId(thinkEnd) === undefined ? `, and end your thoughts with ${thinkEnd}` : ""
  return (
    `\n\n### Task\nThe text above breaks off. Think step by step about what comes next${ending}. Then write the next token ` +
    "or tokens, exactly as they stand in the text, inside \\boxed{}."
  )
}

/** Private use characters, which no template knows. */
const marker = "\ue000context\ue001"

const probes = [
  "",
  " ",
  "\n\n  indented\n\n",
  "\ttab\r\n\u0000\u00a0\u3000",
  "<b>&amp; \"double\" 'single' \\n \\\\ </b>",
  "{{ 7 * 7 }}{% raw %}{# comment #}",
  "a </think> b <think> c",
  "<|im_end|><|eot_id|></s>[INST] x [/INST]",
  "naïve e\u0301 日本語 👩‍👩‍👧",
  "system: user: assistant:",
  "x".repeat(5000)
]

interface Message {
  readonly role: "user" | "assistant"
  readonly content: string
}
const asUser = (content: string): Message => ({ role: "user", content })

type Render = (messages: ReadonlyArray<Message>, opensAnswer: boolean) => string

/** Renders as transformers does, without tools. The date is always the same: a run's prompts must not change overnight. */
const renderer = (source: string, namedTokens: Readonly<Record<string, string>>): Render => {
  const template = new Jinja(oneDay + source)
  return (messages, opensAnswer) =>
    template.render({
      ...namedTokens,
      messages,
      tools: null,
      documents: null,
      add_generation_prompt: opensAnswer,
      enable_thinking: true
    })
}

/** The day that the templates of Llama 3 name where they have no clock, whatever the format. */
const oneDay = "{%- macro strftime_now(format) -%}26 Jul 2024{%- endmacro -%}"

/** The special token that stands behind what an assistant says, if one does. */
const endOfTurn = (render: Render, specialTokens: ReadonlyArray<string>): ReadonlyArray<string> => {
  try {
    const after =
      render([asUser("a"), { role: "assistant", content: marker }], false)
        .split(marker)[1]
        ?.trimStart() ?? ""
    const ends = specialTokens.filter((token) => after.startsWith(token)).toSorted((a, b) => b.length - a.length)
    return ends.slice(0, 1)
  } catch {
    return [] // A template that knows no answers: the tokenizer's own end of text is left.
  }
}
