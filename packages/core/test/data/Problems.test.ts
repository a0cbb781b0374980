import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import * as Corpus from "../../src/data/Corpus.ts"
import * as Problems from "../../src/data/Problems.ts"
import * as Synthetic from "../../src/data/Synthetic.ts"

const numbered = (n: number) =>
  Corpus.fromDocuments(
    "numbers",
    Array.from({ length: n }, (_, i) => ({ id: String(i), text: " 4 up 2" }))
  )
const collect = <A, E>(stream: Stream.Stream<A, E>) => Effect.runPromise(Stream.runCollect(stream))
const order = async (n: number, options: Problems.EpochOptions) =>
  (await collect(Problems.epoch(numbered(n), options))).map(({ id }) => Number(id))
const inOrder: Problems.EpochOptions = { seed: 1, epoch: 0, shuffleBuffer: 1, from: 0 }

describe("an epoch", () => {
  it("holds every document once, each within its shuffle buffer, and goes on from any index", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 40 }),
        fc.integer({ min: 1, max: 12 }),
        fc.nat(5),
        fc.nat(40),
        async (n, shuffleBuffer, epoch, from) => {
          const whole = await order(n, { seed: 3, epoch, shuffleBuffer, from: 0 })
          expect(whole.toSorted((a, b) => a - b)).toEqual([...Array(n).keys()])
          for (const [position, document] of whole.entries()) {
            expect(Math.floor(document / shuffleBuffer)).toBe(Math.floor(position / shuffleBuffer))
          }
          expect(await order(n, { seed: 3, epoch, shuffleBuffer, from })).toEqual(whole.slice(from))
        }
      ),
      { numRuns: 60 }
    )
  })

  it("is in corpus order without a buffer, and in another order for every seed and epoch with one", async () => {
    expect(await order(5, inOrder)).toEqual([0, 1, 2, 3, 4])
    const orders = await Promise.all([
      order(20, { ...inOrder, shuffleBuffer: 20 }),
      order(20, { ...inOrder, shuffleBuffer: 20, epoch: 1 }),
      order(20, { ...inOrder, shuffleBuffer: 20, seed: 2 })
    ])
    expect(new Set(orders.map(String)).size).toBe(3)
  })
})

describe("the trunks of an epoch", () => {
  const settings = { minEntropy: 1, minimumContext: 8, maxTokens: 64, positionsPerDocument: 4 }

  it("count the texts that are too short and cut the long ones", async () => {
    const corpus = Corpus.fromDocuments("mixed", [
      { id: "short", text: " 4 up 2" },
      { id: "long", text: " 4 up 2 is 6".repeat(20) }
    ])
    const trunks = await collect(Problems.trunks(corpus.pipe(Corpus.nextToken(settings)), Synthetic.tokenizer, inOrder))
    expect(trunks.map((t) => (t._tag === "TooShort" ? t : `${t.document.id}: ${t.document.tokens.length}`))).toEqual([
      { _tag: "TooShort", id: "short", tokens: 3 },
      "long#0: 64",
      "long#56: 44"
    ])
  })

  it("of texts that are all too short are one clear error", async () => {
    const problems = numbered(3).pipe(Corpus.nextToken(settings))
    const error = await Effect.runPromise(
      Effect.flip(Stream.runDrain(Problems.trunks(problems, Synthetic.tokenizer, inOrder)))
    )
    expect(error.message).toBe(
      "numbers: no document is longer than the minimum context of 8 tokens; longer documents or a smaller " +
        "minimumContext would do"
    )
    expect(Problems.noneHardEnough(problems, 3).message).toBe(
      "numbers: none of 3 documents has a position that passes minEntropy 1; a lower value asks more positions"
    )
  })

  it("become problems with the entropies of their positions", async () => {
    const problems = Corpus.generated({ seed: 1, split: "train", count: 2 }).pipe(Corpus.nextToken(settings))
    const trunks = await collect(Problems.trunks(problems, Synthetic.tokenizer, inOrder))
    for (const [index, trunk] of trunks.entries()) {
      if (trunk._tag === "TooShort") throw new Error("generated documents are long enough")
      const { tokens } = trunk.document
      const hard = new Float32Array(tokens.length)
      const asked = [tokens.length - 1, tokens.length - 3, 10]
      for (const anchor of asked) hard[anchor] = 2
      const at = { seed: 1, epoch: 3 }
      const found = Problems.problemsOf(Synthetic.tokenizer, trunk.document, hard, problems.settings, at)
      expect(found.map(({ anchor }) => anchor)).toEqual(asked.toReversed())
      expect(found[2].id).toBe(`3/${trunk.document.id}@${tokens.length - 1}`)
      expect(found[0].document).toBe(trunks[index]._tag === "Trunk" ? trunk.document : undefined)
      expect(found[2].continuation.boundaries.length).toBe(1)
    }
  })
})

describe("the program a user writes", () => {
  it("pipes a corpus into problems that are plain data", () => {
    const problems = Corpus.jsonl("gsm8k.jsonl", { field: "answer" }).pipe(
      Corpus.nextToken({ minEntropy: 1.0, positionsPerDocument: 8 })
    )
    expect(problems.corpus).toMatchObject({ _tag: "JsonLines", path: "gsm8k.jsonl", field: "answer" })
    expect(problems.settings).toMatchObject({ filter: { _tag: "MinEntropy", nats: 1 }, positionsPerDocument: 8 })
  })
})
