import { Result } from "effect"

/** Real configs and tokenizers nest some ten levels. */
const usualDepth = 64

/**
 * JSON.parse of a text from elsewhere: a reason in place of an exception. Brackets are counted first, since a parser keeps
 * far more for each open one than the byte that it costs to write it.
 */
export const parseJson = (text: string, depth: number = usualDepth): Result.Result<unknown, string> => {
  if (isDeeperThan(text, depth)) return Result.fail(`is nested deeper than ${depth} levels`)
  return Result.mapError(
    Result.try((): unknown => JSON.parse(text)),
    () => "is not JSON"
  )
}

const quoteMark = 0x22
const backslash = 0x5c

const isDeeperThan = (text: string, depth: number): boolean => {
  let open = 0
  let inString = false
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (inString) {
      if (code === backslash) at++
      else if (code === quoteMark) inString = false
    } else if (code === quoteMark) inString = true
    // [ and { differ in one bit, and so do ] and }.
    else if ((code | 0x20) === 0x7b && ++open > depth) return true
    else if ((code | 0x20) === 0x7d) open--
  }
  return false
}
