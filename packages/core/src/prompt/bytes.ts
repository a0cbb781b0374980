/** First index >= from at which `pattern` (non-empty) stands in `bytes`, or -1. */
export const indexOf = (bytes: Uint8Array, pattern: Uint8Array, from = 0): number => {
  for (let start = from; start + pattern.length <= bytes.length; start++) {
    if (standsAt(bytes, pattern, start)) return start
  }
  return -1
}

/** Last index >= from at which `pattern` (non-empty) stands in `bytes`, or -1. */
export const lastIndexOf = (bytes: Uint8Array, pattern: Uint8Array, from = 0): number => {
  for (let start = bytes.length - pattern.length; start >= from; start--) {
    if (standsAt(bytes, pattern, start)) return start
  }
  return -1
}

/** True when `bytes` opens with all of `prefix`. */
export const startsWith = (bytes: Uint8Array, prefix: Uint8Array): boolean =>
  prefix.length <= bytes.length && standsAt(bytes, prefix, 0)

export const concat = (...parts: ReadonlyArray<Uint8Array>): Uint8Array => {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0))
  let offset = 0
  for (const part of parts) {
    whole.set(part, offset)
    offset += part.length
  }
  return whole
}

const encoder = new TextEncoder()

/** UTF-8 bytes of a text that we wrote ourselves (markers, templates). Model output is bytes from the start. */
export const utf8 = (text: string): Uint8Array => encoder.encode(text)

const standsAt = (bytes: Uint8Array, pattern: Uint8Array, start: number): boolean => {
  for (let i = 0; i < pattern.length; i++) {
    if (bytes[start + i] !== pattern[i]) return false
  }
  return true
}
