/** Documents out of files, a chunk of the file at a time. Bad input is thrown as CorpusError. */
import { createReadStream } from "node:fs"
import { open, stat } from "node:fs/promises"
import { basename } from "node:path"
import { CorpusError } from "./CorpusError.ts"
import type { Document } from "./Document.ts"

/** How a text file is cut into documents. */
export type TextSplit =
  /** At every occurrence of a string such as `<|endoftext|>`, which belongs to no document. */
  | { readonly _tag: "Separator"; readonly separator: string }
  /** At blank lines, where at least `atLeast` characters have come together: paragraphs of short speeches stay joined. */
  | { readonly _tag: "BlankLines"; readonly atLeast: number }
  /** At `<|endoftext|>` if the first MiB of the file has one, else at blank lines after at least 1000 characters. */
  | { readonly _tag: "Auto" }

const endOfText = "<|endoftext|>"
const mebibyte = 2 ** 20
const longestLine = 64 * mebibyte

/** The documents of a .txt file in file order: verbatim, except for blank lines around them. */
export async function* textDocuments(path: string, split: TextSplit): AsyncGenerator<Document> {
  const rule = split._tag === "Auto" ? await detectSplit(path) : split
  const name = basename(path)
  let firstLine = 1
  let pending: Array<string> = []
  let characters = 0

  const cut = (nextLine: number): ReadonlyArray<Document> => {
    const leading = pending.findIndex((line) => line.trim() !== "")
    const document = { id: `${name}:${firstLine + leading}`, text: withoutBlankLinesAround(pending) }
    pending = []
    characters = 0
    firstLine = nextLine
    return leading < 0 ? [] : [document]
  }

  for await (const { number, text } of lines(path)) {
    if (rule._tag === "Separator") {
      const [first, ...rest] = text.split(rule.separator)
      pending.push(first)
      for (const piece of rest) {
        yield* cut(number)
        pending.push(piece)
      }
    } else {
      pending.push(text)
      characters += text.length
      if (text.trim() === "" && characters >= rule.atLeast) yield* cut(number + 1)
    }
  }
  yield* cut(0)
}

/** The documents of a .jsonl file: the string at `field` of each line, in file order. Blank lines are passed over. */
export async function* jsonDocuments(path: string, field: string): AsyncGenerator<Document> {
  for await (const { number, text } of lines(path)) {
    if (text.trim() === "") continue
    const location = `${path}:${number}`
    yield { id: `${basename(path)}:${number}`, text: stringAt(parseObject(text, field, location), field, location) }
  }
}

function parseObject(line: string, field: string, location: string): Record<string, unknown> {
  const wanted = `each line is one JSON object such as {${JSON.stringify(field)}: "..."}`
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch {
    throw new CorpusError({ location, problem: `no JSON: ${excerpt(line)}; ${wanted}` })
  }
  if (kindOf(value) !== "object") throw new CorpusError({ location, problem: `${article(kindOf(value))}; ${wanted}` })
  return Object(value)
}

function stringAt(object: Record<string, unknown>, field: string, location: string): string {
  if (!Object.hasOwn(object, field)) {
    const names = Object.keys(object).map((name) => JSON.stringify(name))
    const existing = names.length === 0 ? "the object is empty" : `the line has ${names.join(", ")}`
    throw new CorpusError({ location, problem: `no field ${JSON.stringify(field)}; ${existing}` })
  }
  const value = object[field]
  if (typeof value === "string") return value
  const kind = article(kindOf(value))
  throw new CorpusError({ location, problem: `the field ${JSON.stringify(field)} is ${kind}; a string was expected` })
}

const kindOf = (value: unknown) => (value === null ? "null" : Array.isArray(value) ? "array" : typeof value)

const article = (kind: string) => (kind === "null" ? kind : `${/^[aeiou]/.test(kind) ? "an" : "a"} ${kind}`)

const excerpt = (line: string) => JSON.stringify(line.length > 40 ? `${line.slice(0, 40)}…` : line)

function withoutBlankLinesAround(all: ReadonlyArray<string>): string {
  const first = all.findIndex((line) => line.trim() !== "")
  const last = all.findLastIndex((line) => line.trim() !== "")
  return all.slice(Math.max(0, first), last + 1).join("\n")
}

async function detectSplit(path: string): Promise<Exclude<TextSplit, { readonly _tag: "Auto" }>> {
  const file = await open(path)
  try {
    const head = Buffer.alloc(Math.min(mebibyte, (await file.stat()).size))
    const { bytesRead } = await file.read(head, 0, head.length, 0)
    const found = head.subarray(0, bytesRead).includes(endOfText)
    return found ? { _tag: "Separator", separator: endOfText } : { _tag: "BlankLines", atLeast: 1000 }
  } finally {
    await file.close()
  }
}

interface Line {
  /** From 1. */
  readonly number: number
  /** Without its line feed; a carriage return before it stays. */
  readonly text: string
}

/** The lines of a UTF-8 file, one chunk of the file in memory at a time. A byte order mark at its head is dropped. */
async function* lines(path: string): AsyncGenerator<Line> {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })
  let number = 0
  let rest: Array<Uint8Array> = []
  let restLength = 0

  const finish = (last: Uint8Array): Line => {
    number++
    const bytes = rest.length === 0 ? last : Buffer.concat([...rest, last])
    rest = []
    restLength = 0
    try {
      const text = decoder.decode(bytes)
      return { number, text: number === 1 && text.startsWith("\ufeff") ? text.slice(1) : text }
    } catch {
      throw new CorpusError({ location: `${path}:${number}`, problem: "not UTF-8; convert the file to UTF-8" })
    }
  }

  const { size } = await stat(path)
  const highWaterMark = Math.min(mebibyte / 4, Math.max(4096, size)) // a pipe has no size
  for await (const chunk of createReadStream(path, { highWaterMark })) {
    const bytes: Uint8Array = chunk
    let start = 0
    for (let end = bytes.indexOf(10); end >= 0; end = bytes.indexOf(10, start)) {
      yield finish(bytes.subarray(start, end))
      start = end + 1
    }
    rest.push(bytes.subarray(start))
    restLength += bytes.length - start
    if (restLength > longestLine) {
      const location = `${path}:${number + 1}`
      throw new CorpusError({ location, problem: "a line of more than 64 MiB; this is no corpus of lines" })
    }
  }
  if (restLength > 0) yield finish(new Uint8Array(0))
}
