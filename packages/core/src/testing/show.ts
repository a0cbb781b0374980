/** Cases of laws as a person reads them: every byte string as text and as hex. */
import { concat } from "../prompt/bytes.ts"
import type { Prediction } from "../prompt/Prediction.ts"
import { type Template, thought } from "../prompt/Template.ts"
import type { Verdict } from "../reward/Verdict.ts"
import type { ParsedRollout } from "../rl/Rollout.ts"
import type { ProblemCase } from "./arbitraries/problem.ts"

/**
 * Bytes as text in quotes. What would not be seen is written out: `‹c3›` is a byte that is no character, `‹U+0301›` a
 * character that does not print or that joins the one before it, `⏎` a newline. A backslash is a backslash.
 */
export const showText = (bytes: Uint8Array): string => {
  let text = ""
  for (let at = 0; at < bytes.length;) {
    const character = characterAt(bytes, at)
    text += character === undefined ? `‹${hexOf(bytes[at])}›` : visible(character)
    at += character === undefined ? 1 : new TextEncoder().encode(character).length
  }
  return `"${text}"`
}

/** Bytes in hex, the middle of long ones left out: `61 62 c3`. */
export const showHex = (bytes: Uint8Array): string => {
  const hex = (part: Uint8Array) => Array.from(part, hexOf).join(" ")
  if (bytes.length === 0) return "(0 bytes)"
  if (bytes.length <= 40) return hex(bytes)
  return `${hex(bytes.subarray(0, 20))} … ${hex(bytes.subarray(-16))} (${bytes.length} bytes)`
}

/** Both: `"é"  c3 a9`. */
export const showBytes = (bytes: Uint8Array): string => `${showText(bytes)}  ${showHex(bytes)}`

export const showPrediction = (prediction: Prediction): string =>
  prediction.outcome === "answered" ? showBytes(prediction.bytes) : `none (${prediction.outcome})`

export const showVerdict = (verdict: Verdict): string =>
  verdict._tag === "Scored" ? `${verdict.value}` : `unscorable: ${verdict.reason}`

/** A completion taken apart, under a label such as `rollout 0`. */
export interface ShownRollout {
  readonly label: string
  readonly parsed: ParsedRollout
  readonly verdict: Verdict
}

/** A problem (context, true tokens, boundary set) and completions of it, with what a reward says of each. */
export const showRollouts = (
  template: Template,
  { table, problem }: ProblemCase,
  rollouts: ReadonlyArray<ShownRollout>
): string => {
  const { document, anchor, continuation } = problem
  const tokens = Array.from(document.tokens, (token) => table[token])
  const truth = tokens.slice(anchor)
  return [
    line("context", showBytes(concat(...tokens.slice(0, anchor)))),
    line("truth", showBytes(continuation.bytes)),
    line("tokens", truth.map((token) => `${showText(token)} ${showHex(token)}`).join(" | ")),
    line("boundaries", `{${continuation.boundaries.join(", ")}}`),
    ...rollouts.flatMap(({ label, parsed: { rollout, prediction }, verdict }) => [
      "",
      line(label, showText(rollout.bytes)),
      line("thought", showBytes(thought(template, rollout.bytes))),
      line("prediction", showPrediction(prediction)),
      line("verdict", showVerdict(verdict))
    ])
  ].join("\n")
}

const line = (label: string, content: string): string => `${label.padEnd(11)} ${content}`

const hexOf = (byte: number): string => byte.toString(16).padStart(2, "0")

const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/** The character that begins at `at`, if the bytes there are one. */
const characterAt = (bytes: Uint8Array, at: number): string | undefined => {
  for (let length = 1; length <= 4 && at + length <= bytes.length; length++) {
    try {
      return strict.decode(bytes.subarray(at, at + length))
    } catch {
      continue
    }
  }
  return undefined
}

const visible = (character: string): string => {
  if (character === "\n") return "⏎"
  if (/[^\P{C}]|\p{M}|[^\P{Z} ]/u.test(character)) {
    return `‹U+${character.codePointAt(0)!.toString(16).toUpperCase().padStart(4, "0")}›`
  }
  return character
}
