/**
 * A corpus is a description of a stream of documents in a stable order: plain data that can be written to a manifest.
 * Nothing is read before `documents` runs, and then a chunk at a time.
 */
import { access } from "node:fs/promises"
import { basename, extname } from "node:path"
import * as Pipeable from "effect/Pipeable"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { CorpusError } from "./CorpusError.ts"
import { jsonDocuments, textDocuments } from "./corpusFiles.ts"
import type { TextSplit } from "./corpusFiles.ts"
import type { Document } from "./Document.ts"
import { settings } from "./NextToken.ts"
import type { NextTokenOptions } from "./NextToken.ts"
import type { Problems } from "./Problems.ts"
import * as Synthetic from "./Synthetic.ts"

export { CorpusError }
export type { TextSplit }

export type Corpus = CorpusData & Pipeable.Pipeable

export type CorpusData =
  | { readonly _tag: "TextFile"; readonly name: string; readonly path: string; readonly split: TextSplit }
  | { readonly _tag: "JsonLines"; readonly name: string; readonly path: string; readonly field: string }
  | { readonly _tag: "Documents"; readonly name: string; readonly documents: ReadonlyArray<Document> }
  | {
      readonly _tag: "Generated"
      readonly name: "dials"
      readonly seed: number
      readonly split: Synthetic.Split
      readonly count: number
    }

/** A .txt file, cut into documents (by default at `<|endoftext|>`, or else at blank lines: see TextSplit). */
export const text = (path: string, options: { readonly split?: TextSplit } = {}): Corpus =>
  make({ _tag: "TextFile", name: basename(path), path, split: options.split ?? { _tag: "Auto" } })

/** A .jsonl file: one JSON object a line, the text at `field`. */
export const jsonl = (path: string, options: { readonly field: string }): Corpus =>
  make({ _tag: "JsonLines", name: basename(path), path, field: options.field })

/** Documents that are already in memory. */
export const fromDocuments = (name: string, documents: ReadonlyArray<Document>): Corpus =>
  make({ _tag: "Documents", name, documents })

/** The generated corpus with hidden computation (Synthetic): `count` documents of one split. */
export const generated = (options: {
  readonly seed: number
  readonly split: Synthetic.Split
  readonly count: number
}): Corpus => make({ _tag: "Generated", name: "dials", ...options })

/**
 * A corpus by what it is called on the command line: a .txt or .jsonl file, which must be there, or the name of a
 * generated corpus.
 */
export const open = (
  pathOrName: string,
  options: {
    /** Of a .jsonl file: the field with the text. Default "text". */
    readonly field?: string
    /** Of a .txt file: where documents end. Default: Auto. */
    readonly split?: TextSplit
    /** Of a generated corpus. Default: seed 0, split "train", 2000 documents. */
    readonly generated?: { readonly seed: number; readonly split: Synthetic.Split; readonly count: number }
  } = {}
): Effect.Effect<Corpus, CorpusError> => {
  if (pathOrName === "dials") {
    return Effect.succeed(generated(options.generated ?? { seed: 0, split: "train", count: 2000 }))
  }
  const extension = extname(pathOrName).toLowerCase()
  if (extension === ".jsonl" || extension === ".ndjson") {
    return Effect.as(exists(pathOrName), jsonl(pathOrName, { field: options.field ?? "text" }))
  }
  if (extension === ".txt") {
    return Effect.as(exists(pathOrName), text(pathOrName, options.split === undefined ? {} : { split: options.split }))
  }
  const problem = "not a corpus; a .txt file, a .jsonl file or the generated corpus dials was expected"
  return Effect.fail(new CorpusError({ location: pathOrName, problem }))
}

/** The documents in corpus order. An empty corpus is an error. */
export const documents = (corpus: Corpus): Stream.Stream<Document, CorpusError> =>
  Stream.suspend(() => {
    let any = false
    const all = source(corpus).pipe(Stream.map((document) => ((any = true), document)))
    return Stream.concat(
      all,
      Stream.suspend(() => (any ? Stream.empty : Stream.fail(emptyCorpus(corpus))))
    )
  })

/**
 * The questions "what comes next?" about a corpus: which positions are asked, and about how much of the text.
 * Throws SettingsError on settings out of range. Example:
 *
 *   Corpus.jsonl("gsm8k.jsonl", { field: "answer" }).pipe(Corpus.nextToken({ minEntropy: 1.0, positionsPerDocument: 8 }))
 */
export const nextToken = (options: NextTokenOptions): ((corpus: Corpus) => Problems) => {
  const checked = settings(options)
  return (corpus) => ({ corpus, settings: checked })
}

const make = (data: CorpusData): Corpus => Object.assign(Object.create(Pipeable.Prototype), data)

function source(corpus: CorpusData): Stream.Stream<Document, CorpusError> {
  switch (corpus._tag) {
    case "TextFile":
      return fromFile(corpus.path, textDocuments(corpus.path, corpus.split))
    case "JsonLines":
      return fromFile(corpus.path, jsonDocuments(corpus.path, corpus.field))
    case "Documents":
      return Stream.fromIterable(corpus.documents)
    case "Generated":
      return Stream.range(0, corpus.count - 1).pipe(
        Stream.map((index) => Synthetic.document({ seed: corpus.seed, split: corpus.split, index }))
      )
  }
}

const exists = (path: string) =>
  Effect.tryPromise({ try: () => access(path), catch: (cause) => unreadable(path, cause) })

const fromFile = (path: string, all: AsyncIterable<Document>) =>
  Stream.fromAsyncIterable(all, (cause) => (cause instanceof CorpusError ? cause : unreadable(path, cause)))

function unreadable(path: string, cause: unknown): CorpusError {
  const code = cause instanceof Error && "code" in cause ? cause.code : undefined
  const problem =
    code === "ENOENT"
      ? "no such file"
      : code === "EISDIR"
        ? "a directory; a .txt or .jsonl file was expected"
        : cause instanceof Error
          ? cause.message
          : String(cause)
  return new CorpusError({ location: path, problem })
}

function emptyCorpus(corpus: CorpusData): CorpusError {
  const location = corpus._tag === "TextFile" || corpus._tag === "JsonLines" ? corpus.path : corpus.name
  return new CorpusError({ location, problem: "no documents; a corpus has at least one text that is not blank" })
}
