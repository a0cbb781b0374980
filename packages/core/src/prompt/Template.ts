import { Schema } from "effect"
import { concat, indexOf, lastIndexOf, utf8 } from "./bytes.ts"
import * as Prediction from "./Prediction.ts"

/** How an answer stands after the thought. Markers are compared as UTF-8 bytes. */
export const AnswerForm = Schema.Union([
  /** `open` answer `}`: the last `open` counts, braces balance. `open` ends with the `{` that the answer closes. */
  Schema.Struct({ form: Schema.Literal("braced"), open: Schema.String.check(Schema.isPattern(/\{$/)) }),
  /** answer `end`: everything between the think end and the first `end` after it. */
  Schema.Struct({ form: Schema.Literal("ended"), end: Schema.NonEmptyString })
])
export type AnswerForm = typeof AnswerForm.Type

/**
 * A prompt as data: the trunk is `head` + context, a branch is `tail` + completion (`Trunk and branches` in design.md).
 *
 * - `head` stands before the context and is shared by every question about a document. Built-in templates leave it
 *   empty, so that the one trunk pass also is the plain next-token pass.
 * - `tail` stands after the context and is never empty: its last token predicts the first token of the completion.
 * - `stop` are the contents of the tokens that end a completion. Those that a vocabulary lacks are ignored; the
 *   tokenizer's own end-of-text token always ends one.
 * - `thinkEnd` ends the thought.
 */
export const Template = Schema.Struct({
  name: Schema.NonEmptyString,
  head: Schema.String,
  tail: Schema.NonEmptyString,
  stop: Schema.Array(Schema.NonEmptyString),
  thinkEnd: Schema.NonEmptyString,
  answer: AnswerForm
})
export type Template = typeof Template.Type

/** The paper's form: think, then the next token(s) in `\boxed{}`. The instruction follows the context. */
export const boxed: Template = {
  name: "boxed",
  head: "",
  tail:
    "\n\n### Task\nThe text above breaks off. Think step by step about what comes next. Then write the next token or " +
    "tokens, exactly as they stand in the text, inside \\boxed{}.\n<think>\n",
  stop: ["<|endoftext|>", "<|im_end|>", "<|eot_id|>", "<|end▁of▁sentence|>", "</s>"],
  thinkEnd: "</think>",
  answer: { form: "braced", open: "\\boxed{" }
}

/** The short form for models that are trained with it: one special token per marker, no instruction. */
export const compact: Template = {
  name: "compact",
  head: "",
  tail: "<|think|>",
  stop: ["<|end|>"],
  thinkEnd: "</think>",
  answer: { form: "ended", end: "<|end|>" }
}

/**
 * What `completion` predicts. The rule, on bytes: after the **last** think end (none: `truncated`)
 * - braced: take the **last** `open` (none: `no-box`) up to its balancing `}`, counting plain `{` and `}`; a backslash
 *   does not escape; never balanced: `malformed`.
 * - ended: take everything up to the first `end` (none: `malformed`).
 *
 * Zero bytes: `empty`; else `answered`, bytes verbatim. Total: any bytes have exactly one outcome.
 *
 * @param completion raw bytes of all completion tokens, special tokens spelled out (stop token included)
 */
export const parse = (template: Template, completion: Uint8Array): Prediction.Prediction => {
  const thinkEnd = utf8(template.thinkEnd)
  const thoughtLength = lastIndexOf(completion, thinkEnd)
  if (thoughtLength < 0) return Prediction.truncated
  const start = thoughtLength + thinkEnd.length
  return template.answer.form === "braced"
    ? parseBraced(completion, start, utf8(template.answer.open))
    : parseEnded(completion, start, utf8(template.answer.end))
}

/** The thought of a completion: the bytes before the last think end, or all of them when it never ends. */
export const thought = (template: Template, completion: Uint8Array): Uint8Array => {
  const end = lastIndexOf(completion, utf8(template.thinkEnd))
  return end < 0 ? completion : completion.subarray(0, end)
}

/**
 * The completion that thinks `thought` and answers `answer`: what warm-up traces are made of. `parse` gives `answer`
 * back unless the answer cannot be won under the template (an unbalanced brace, a marker inside it).
 */
export const render = (template: Template, thought: Uint8Array, answer: Uint8Array): Uint8Array => {
  const form = template.answer
  return form.form === "braced"
    ? concat(thought, utf8(template.thinkEnd), utf8(form.open), answer, utf8("}"))
    : concat(thought, utf8(template.thinkEnd), answer, utf8(form.end))
}

const openBrace = 0x7b
const closeBrace = 0x7d

const parseBraced = (completion: Uint8Array, start: number, open: Uint8Array): Prediction.Prediction => {
  const box = lastIndexOf(completion, open, start)
  if (box < 0) return Prediction.noBox
  const answerStart = box + open.length
  let depth = 1
  for (let i = answerStart; i < completion.length; i++) {
    if (completion[i] === openBrace) depth++
    if (completion[i] === closeBrace) depth--
    if (depth === 0) return Prediction.closed(completion.slice(answerStart, i))
  }
  return Prediction.malformed
}

const parseEnded = (completion: Uint8Array, start: number, end: Uint8Array): Prediction.Prediction => {
  const answerEnd = indexOf(completion, end, start)
  return answerEnd < 0 ? Prediction.malformed : Prediction.closed(completion.slice(start, answerEnd))
}
