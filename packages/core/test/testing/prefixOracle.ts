/**
 * The paper's reward (arXiv 2506.08007, section 3.2) a second time, from its definition: quadratic, obvious, and without a
 * line of `src`. Bytes are written as characters U+0000 .. U+00FF, so that strings of JavaScript do the rest.
 */

/** How a completion is marked up, written down anew. */
export type Markup = "boxed" | "compact"

/** 1 if the completion wins against the true next tokens, given as raw bytes; else 0. */
export const prefixOracle = (markup: Markup, tokens: ReadonlyArray<Uint8Array>, completion: Uint8Array): 0 | 1 => {
  const y = (markup === "boxed" ? contentOfLastBox : contentBeforeEnd)(textOf(completion))
  if (y === undefined) return 0
  const x = tokens.map(textOf).join("")
  const cumulativeLengths = tokens.map(
    (_, n) =>
      tokens
        .slice(0, n + 1)
        .map(textOf)
        .join("").length
  )
  const isPrefix = x.slice(0, y.length) === y
  const endsWithAToken = cumulativeLengths.includes(y.length)
  return isPrefix && endsWithAToken && y !== "" ? 1 : 0
}

const textOf = (bytes: Uint8Array): string => Array.from(bytes, (byte) => String.fromCharCode(byte)).join("")

/** What comes after the last end of thinking. */
const afterThinking = (said: string): string | undefined => {
  const parts = said.split("</think>")
  return parts.length > 1 ? parts[parts.length - 1] : undefined
}

const contentOfLastBox = (said: string): string | undefined => {
  const boxes = afterThinking(said)?.split("\\boxed{") ?? []
  if (boxes.length < 2) return undefined
  const rest = boxes[boxes.length - 1]
  for (let end = 0; end < rest.length; end++) {
    if (rest[end] === "}" && bracesPairUp(rest.slice(0, end))) return rest.slice(0, end)
  }
  return undefined
}

const bracesPairUp = (text: string): boolean => {
  let braces = text.replace(/[^{}]/g, "")
  while (braces.includes("{}")) braces = braces.replace("{}", "")
  return braces === ""
}

const contentBeforeEnd = (said: string): string | undefined => {
  const parts = afterThinking(said)?.split("<|end|>") ?? []
  return parts.length > 1 ? parts[0] : undefined
}
