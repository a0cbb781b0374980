import { Schema } from "effect"
import { concat, indexOf, lastIndexOf, utf8 } from "./bytes.ts"
import * as Prediction from "./Prediction.ts"

/** How an answer stands after the thought. Markers are compared as UTF-8 bytes. */
export const AnswerForm = Schema.Union([
  /**
   * `open` answer `}`: the last `open` counts, braces balance. `open` ends with the `{` that the answer closes. The answer
   * is taken verbatim: a backslash before an n is these two bytes and no line feed, and an answer whose braces do not
   * balance cannot be given. With `escape`, a backslash in the answer escapes: `\n` is a line feed, `\\` a backslash, `\{`
   * and `\}` are braces that do not count; any other pair stays as it is.
   */
  Schema.Struct({
    form: Schema.Literal("braced"),
    open: Schema.String.check(Schema.isPattern(/\{$/)),
    escape: Schema.optionalKey(Schema.Literal("backslash"))
  }),
  /** answer `end`: everything between the think end and the first `end` after it. */
  Schema.Struct({ form: Schema.Literal("ended"), end: Schema.NonEmptyString })
])
export type AnswerForm = typeof AnswerForm.Type

/**
 * A prompt as data: the trunk is `head` + context, a branch is `tail` + completion (`Trunk and branches` in design.md).
 *
 * - `head` stands before the context and is shared by every question about a document. Built-in templates leave it
 *   empty, so that the one trunk pass also is the plain next-token pass.
 * - `opening`: the head spells out what opens a text (bos), so the tokenizer puts nothing in front of its own accord.
 * - `tail` stands after the context and is never empty: its last token predicts the first token of the completion.
 * - `stop` are the contents of the tokens that end a completion. Those that a vocabulary lacks are ignored; the
 *   tokenizer's own end-of-text token always ends one.
 * - `thinkEnd` ends the thought.
 */
export const Template = Schema.Struct({
  name: Schema.NonEmptyString,
  head: Schema.String,
  opening: Schema.optionalKey(Schema.Literal("in-head")),
  tail: Schema.NonEmptyString,
  stop: Schema.Array(Schema.NonEmptyString),
  thinkEnd: Schema.NonEmptyString,
  answer: AnswerForm
})
export type Template = typeof Template.Type

/** Think, then answer in `\boxed{}`: what all variants of the paper's form share. The instruction follows the context. */
const inBox = (name: string, instruction: string): Template => ({
  name,
  head: "",
  tail: `\n\n${instruction}\n<think>\n`,
  stop: ["<|endoftext|>", "<|im_end|>", "<|eot_id|>", "<|end▁of▁sentence|>", "</s>"],
  thinkEnd: "</think>",
  answer: { form: "braced", open: "\\boxed{" }
})

const breaksOff = "### Task\nThe text above breaks off."
const theBox = "the next token or tokens, exactly as they stand in the text, inside \\boxed{}."

/** The paper's form: think, then the next token(s) in `\boxed{}`. */
export const boxed: Template = inBox(
  "boxed",
  `${breaksOff} Think step by step about what comes next. Then write ${theBox}`
)

/** Asks for several candidates before one is chosen. Which instruction is best depends on the model, so measure. */
export const candidates: Template = inBox(
  "candidates",
  `${breaksOff} First list several candidates for what comes next, each with what speaks for it. Then weigh them against ` +
    `the text, drop those that do not fit it, and write the likeliest: ${theBox}`
)

/** The shortest instruction: for small contexts and for models that have been trained with it. */
export const terse: Template = inBox("terse", "What comes next? Answer in \\boxed{}.")

/** Every continuation can be written in this one, lone braces and line feeds too. */
export const escaped: Template = {
  ...inBox(
    "escaped",
    `${breaksOff} Think step by step about what comes next. Then write ${theBox} There, write \\n for a line feed, ` +
      "\\\\ for a backslash, \\{ and \\} for braces."
  ),
  answer: { form: "braced", open: "\\boxed{", escape: "backslash" }
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

/** Templates by name. */
export const builtin = { boxed, candidates, terse, escaped, compact } as const

/**
 * What `completion` predicts. The rule, on bytes: after the **last** think end (none: `truncated`)
 * - braced: take the **last** `open` (none: `no-box`) up to its balancing `}`, counting plain `{` and `}`; a backslash
 *   does not escape, unless the form says so; never balanced: `malformed`.
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
    ? parseBraced(completion, start, template.answer)
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
    ? concat(thought, utf8(template.thinkEnd), utf8(form.open), written(form, answer), utf8("}"))
    : concat(thought, utf8(template.thinkEnd), answer, utf8(form.end))
}

const [openBrace, closeBrace, backslash, lineFeed, n] = [0x7b, 0x7d, 0x5c, 0x0a, 0x6e]

type Braced = Extract<AnswerForm, { readonly form: "braced" }>

const parseBraced = (completion: Uint8Array, start: number, form: Braced): Prediction.Prediction => {
  const open = utf8(form.open)
  const escaping = form.escape !== undefined
  const box = lastIndexOf(completion, open, start)
  if (box < 0) return Prediction.noBox
  const answerStart = box + open.length
  let depth = 1
  for (let i = answerStart; i < completion.length; i++) {
    if (escaping && completion[i] === backslash) i++
    else if (completion[i] === openBrace) depth++
    else if (completion[i] === closeBrace) depth--
    if (depth > 0) continue
    const answer = completion.slice(answerStart, i)
    return Prediction.closed(escaping ? unescaped(answer) : answer)
  }
  return Prediction.malformed
}

/** What each byte behind a backslash stands for. */
const escapes = new Map([
  [n, lineFeed],
  [backslash, backslash],
  [openBrace, openBrace],
  [closeBrace, closeBrace]
])

const unescaped = (answer: Uint8Array): Uint8Array => {
  const out: Array<number> = []
  for (let i = 0; i < answer.length; i++) {
    const meant = answer[i] === backslash ? escapes.get(answer[i + 1]) : undefined
    out.push(meant ?? answer[i])
    if (meant !== undefined) i++
  }
  return Uint8Array.from(out)
}

/** `answer` as it stands in the box. */
const written = ({ escape }: Braced, answer: Uint8Array): Uint8Array => {
  if (escape === undefined) return answer
  const code = new Map([...escapes].map(([code, meant]) => [meant, code]))
  return Uint8Array.from(
    Array.from(answer).flatMap((byte) => {
      const escaped = code.get(byte)
      return escaped === undefined ? [byte] : [backslash, escaped]
    })
  )
}

const parseEnded = (completion: Uint8Array, start: number, end: Uint8Array): Prediction.Prediction => {
  const answerEnd = indexOf(completion, end, start)
  return answerEnd < 0 ? Prediction.malformed : Prediction.closed(completion.slice(start, answerEnd))
}
