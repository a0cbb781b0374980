/**
 * The final answer that a text states: the content of its last balanced `\boxed{}` (or `\fbox{}`), else what follows its
 * last `####` (as in GSM8K) or "answer is" on that line, else the whole text. Never the last number of some sentence: a
 * guess that lies around in a text is no answer.
 */
export const extractAnswer = (text: string): string => (boxed(text) ?? announced(text) ?? text).trim()

const boxed = (text: string): string | undefined => {
  const opening = Array.from(text.matchAll(/\\(?:boxed|fbox)\s*\{/g)).at(-1)
  if (opening === undefined) return undefined
  const start = opening.index + opening[0].length
  let depth = 1
  for (let i = start; i < text.length; i++) {
    if (text[i] === "\\") i++
    else if (text[i] === "{") depth++
    else if (text[i] === "}" && --depth === 0) return text.slice(start, i)
  }
  return undefined
}

const announced = (text: string): string | undefined => {
  const found = Array.from(text.matchAll(/(?:####|\banswer\s*(?:is|:))\s*:?[ \t]*([^\n]+)/gi)).at(-1)
  return found?.[1]
}
