import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as fc from "fast-check"
import { afterAll, describe, expect, it } from "vitest"
import * as Corpus from "../../src/data/Corpus.ts"
import { shared } from "./shared.ts"

const directory = mkdtempSync(join(tmpdir(), "foretoken-corpus-"))
afterAll(() => rmSync(directory, { recursive: true }))

let files = 0
function file(extension: string, content: string | Uint8Array): string {
  const path = join(directory, `c${files++}.${extension}`)
  writeFileSync(path, content)
  return path
}

const read = (corpus: Corpus.Corpus) => Effect.runPromise(Stream.runCollect(Corpus.documents(corpus)))
const texts = async (corpus: Corpus.Corpus) => (await read(corpus)).map(({ text }) => text)
const failure = (corpus: Corpus.Corpus) =>
  Effect.runPromise(Effect.flip(Stream.runCollect(Corpus.documents(corpus)))).then((error) => {
    expect(error).toBeInstanceOf(Corpus.CorpusError)
    return error.message.replace(`${directory}/`, "")
  })

describe("a .jsonl corpus", () => {
  it("gives the string at the field of every line, in order, by line number", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.string({ unit: "binary" }), { minLength: 1, maxLength: 8 }), async (all) => {
        const path = file("jsonl", all.map((answer) => JSON.stringify({ question: 1, answer })).join("\n"))
        const documents = await read(Corpus.jsonl(path, { field: "answer" }))
        expect(documents.map(({ text }) => text)).toEqual(all)
        expect(documents.map(({ id }) => id.split(":")[1])).toEqual(all.map((_, i) => String(i + 1)))
      }),
      { numRuns: 40 }
    )
  })

  it("passes over blank lines, carriage returns and a byte order mark, and lines longer than a chunk", async () => {
    const long = "x".repeat(700_000)
    const path = file("jsonl", `\ufeff{"t":"a"}\r\n\n{"t":"${long}"}\n{"t":"c"}`)
    expect(await texts(Corpus.jsonl(path, { field: "t" }))).toEqual(["a", long, "c"])
  })

  it("closes its file when the reader has had enough", async () => {
    const path = file("jsonl", '{"t":"a"}\n'.repeat(200_000))
    const openFiles = () => readdirSync("/proc/self/fd").length
    if (!existsSync("/proc/self/fd")) return process.stderr.write("not checked: no /proc/self/fd on this machine\n")
    const before = openFiles()
    for (let i = 0; i < 20; i++) {
      const few = Corpus.documents(Corpus.jsonl(path, { field: "t" })).pipe(Stream.take(3))
      expect((await Effect.runPromise(Stream.runCollect(few))).length).toBe(3)
    }
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(openFiles() - before).toBeLessThan(5)
  })

  it("that is wrong says where, what, and what would be right", async () => {
    const bad = (content: string | Uint8Array, field = "answer") =>
      failure(Corpus.jsonl(file("jsonl", content), { field })).then((line) => line.replace(/^c\d+/, "c"))
    expect(await bad('{"answer":"a"}\nnonsense\n')).toBe(
      'c.jsonl:2: no JSON: "nonsense"; each line is one JSON object such as {"answer": "..."}'
    )
    expect(await bad("[1]")).toBe('c.jsonl:1: an array; each line is one JSON object such as {"answer": "..."}')
    expect(await bad('{"question":"q","solution":"s"}')).toBe(
      'c.jsonl:1: no field "answer"; the line has "question", "solution"'
    )
    expect(await bad('{"answer":["a"]}')).toBe('c.jsonl:1: the field "answer" is an array; a string was expected')
    expect(await bad('{"answer":null}')).toBe('c.jsonl:1: the field "answer" is null; a string was expected')
    expect(await bad("{}", "toString")).toBe('c.jsonl:1: no field "toString"; the object is empty')
    expect(await bad(Uint8Array.of(0x7b, 0x7d, 0x0a, 0xff, 0x0a))).toMatch(/^c\.jsonl:1: no field/)
    expect(await bad(Uint8Array.of(0x0a, 0xff, 0x0a))).toBe("c.jsonl:2: not UTF-8; convert the file to UTF-8")
    expect(await bad("")).toBe("c.jsonl: no documents; a corpus has at least one text that is not blank")
    expect(await failure(Corpus.jsonl(join(directory, "gone.jsonl"), { field: "a" }))).toBe("gone.jsonl: no such file")
    expect(await failure(Corpus.text(directory))).toMatch(/a directory; a \.txt or \.jsonl file was expected$/)
  })
})

describe("a .txt corpus", () => {
  it("is cut at <|endoftext|> where the file has it", async () => {
    const path = file("txt", "one\n\nstill one\n<|endoftext|>\ntwo<|endoftext|>three\n<|endoftext|>\n\n")
    expect(await read(Corpus.text(path))).toEqual([
      { id: expect.stringMatching(/:1$/), text: "one\n\nstill one" },
      { id: expect.stringMatching(/:5$/), text: "two" },
      { id: expect.stringMatching(/:5$/), text: "three" }
    ])
  })

  it("is cut at blank lines behind enough characters, and otherwise verbatim", async () => {
    const path = file("txt", "\n \n a \nb\n\nc\n\t\nd\r\n\ne")
    const split = (atLeast: number): Corpus.TextSplit => ({ _tag: "BlankLines", atLeast })
    expect(await texts(Corpus.text(path, { split: split(1) }))).toEqual([" a \nb", "c", "d\r", "e"])
    expect(await texts(Corpus.text(path, { split: split(1000) }))).toEqual([" a \nb\n\nc\n\t\nd\r\n\ne"])
  })

  it("loses nothing but blank lines, wherever it is cut", async () => {
    const line = fc.constantFrom("", " ", "a", "bc d", "é", "\t")
    await fc.assert(
      fc.asyncProperty(fc.array(line, { maxLength: 30 }), fc.integer({ min: 1, max: 9 }), async (all, atLeast) => {
        const path = file("txt", [...all, "end"].join("\n"))
        const cut = await texts(Corpus.text(path, { split: { _tag: "BlankLines", atLeast } }))
        const marked = (lines: ReadonlyArray<string>) => lines.filter((line) => line.trim() !== "")
        expect(cut.flatMap((text) => marked(text.split("\n")))).toEqual(marked([...all, "end"]))
        expect(cut.every((text) => text.trim() !== "")).toBe(true)
      }),
      { numRuns: 60 }
    )
  })

  it("of blank lines only is empty, and says so", async () => {
    expect(await failure(Corpus.text(file("txt", "\n \n\n")))).toMatch(/^c\d+\.txt: no documents/)
  })
})

describe("a corpus by name", () => {
  const open = (name: string) => Effect.runPromise(Corpus.open(name, { field: "answer" }))

  it("is chosen by its extension, or is a generated one", async () => {
    const jsonl = file("jsonl", "{}")
    expect(await open(jsonl)).toMatchObject({ _tag: "JsonLines", path: jsonl, field: "answer" })
    expect(await open(file("txt", "a"))).toMatchObject({ _tag: "TextFile", split: { _tag: "Auto" } })
    expect(await open("dials")).toMatchObject({ _tag: "Generated", split: "train", count: 2000 })
  })

  it("that is none says what would be one", async () => {
    const message = (name: string) => Effect.runPromise(Effect.flip(Corpus.open(name))).then((error) => error.message)
    expect(await message("gone.jsonl")).toBe("gone.jsonl: no such file")
    expect(await message("book.pdf")).toBe(
      "book.pdf: not a corpus; a .txt file, a .jsonl file or the generated corpus dials was expected"
    )
  })

  it("generates documents by index, and none is an error", async () => {
    const corpus = Corpus.generated({ seed: 1, split: "test", count: 3 })
    expect((await read(corpus)).map(({ id }) => id)).toEqual(["dials/test/1/0", "dials/test/1/1", "dials/test/1/2"])
    expect(await failure(Corpus.generated({ seed: 1, split: "test", count: 0 }))).toMatch(/^dials: no documents/)
  })

  it("is plain data with a pipe", () => {
    const corpus = Corpus.jsonl("gsm8k.jsonl", { field: "answer" })
    expect(JSON.parse(JSON.stringify(corpus))).toEqual({
      _tag: "JsonLines",
      name: "gsm8k.jsonl",
      path: "gsm8k.jsonl",
      field: "answer"
    })
  })
})

const real = [
  { path: "data/gsm8k/train.jsonl", field: "answer", count: 7473 },
  { path: "data/omni-math/valid.jsonl", field: "solution", count: 200 },
  { path: "data/tinystories/valid.txt", field: "", count: 5 },
  { path: "data/tinystories/train.txt", field: "", count: 0 },
  { path: "data/wikitext-2/valid.txt", field: "", count: 0 },
  { path: "data/tinyshakespeare/input.txt", field: "", count: 0 }
]
for (const { path, field, count } of real) {
  const found = shared(path)
  it.skipIf(found.missing)(`reads ${path}`, async () => {
    const documents = await read(await Effect.runPromise(Corpus.open(found.path, { field })))
    if (count > 0) expect(documents.length).toBe(count)
    expect(new Set(documents.map(({ id }) => id)).size).toBe(documents.length)
    expect(documents.every(({ text }) => text.trim() !== "")).toBe(true)
    if (count === 0)
      expect(documents.slice(0, -1).every(({ text }) => text.length >= 950 && text.length < 20_000)).toBe(true)
  })
}
