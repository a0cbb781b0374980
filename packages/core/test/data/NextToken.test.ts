import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import * as NextToken from "../../src/data/NextToken.ts"
import * as Synthetic from "../../src/data/Synthetic.ts"

const bytes = fc.uint8Array({ maxLength: 5 })
const entropies = fc.array(fc.double({ min: 0, max: 8, noNaN: true }), { maxLength: 80 })
const small = fc.integer({ min: 1, max: 20 })

describe("a continuation", () => {
  it("ends on the raw bytes of the tokens as they stand, not on whole characters", () => {
    // The example of the paper's property 1: [c3][a9]["ab"] is "éab".
    const tokens = [Uint8Array.of(0xc3), Uint8Array.of(0xa9), Uint8Array.of(0x61, 0x62)]
    expect(NextToken.continuation(tokens)).toEqual({
      bytes: new TextEncoder().encode("éab"),
      boundaries: [1, 2, 4]
    })
  })

  it("has ascending boundaries above 0, one for each token that has bytes, the last at its end", () => {
    fc.assert(
      fc.property(fc.array(bytes, { maxLength: 12 }), (tokens) => {
        const { bytes, boundaries } = NextToken.continuation(tokens)
        expect([...bytes]).toEqual(tokens.flatMap((token) => [...token]))
        expect(boundaries.length).toBe(tokens.filter((token) => token.length > 0).length)
        let previous = 0
        for (const boundary of boundaries) {
          expect(boundary).toBeGreaterThan(previous)
          previous = boundary
        }
        expect(previous).toBe(bytes.length)
        // Each boundary cuts the bytes exactly behind a prefix of the tokens.
        for (let n = 1; n <= tokens.length; n++) {
          const length = tokens.slice(0, n).reduce((sum, token) => sum + token.length, 0)
          expect(length === 0 || boundaries.includes(length)).toBe(true)
        }
      })
    )
  })
})

describe("a problem", () => {
  const document = Synthetic.document({ seed: 1, split: "train", index: 0 })

  it("asks what follows the tokens before its anchor, up to the horizon", () => {
    const { id, anchor, continuation } = NextToken.problemAt(Synthetic.tokenizer, document, 1, 3)
    expect([id, anchor]).toEqual(["dials/train/1/0@1", 1])
    expect(new TextDecoder().decode(continuation.bytes)).toBe(" the fair opens")
    expect(continuation.boundaries).toEqual([4, 9, 15])
  })

  it("joins with its context to the whole text, wherever the anchor is", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: document.tokens.length - 1 }), (anchor) => {
        const { continuation } = NextToken.problemAt(Synthetic.tokenizer, document, anchor, document.tokens.length)
        const before = Synthetic.tokenizer.text(document.tokens.subarray(0, anchor))
        expect(before + new TextDecoder().decode(continuation.bytes)).toBe(document.text)
        expect(continuation.boundaries.length).toBe(document.tokens.length - anchor)
      })
    )
  })

  it("refuses an anchor with nothing before it or nothing after it", () => {
    for (const anchor of [0, document.tokens.length, 1.5]) {
      expect(() => NextToken.problemAt(Synthetic.tokenizer, document, anchor, 3)).toThrow(
        `anchor ${anchor} of dials/train/1/0 is not inside its ${document.tokens.length} tokens`
      )
    }
  })
})

describe("selected anchors", () => {
  it("are ascending, behind the minimum context, hard enough, and as many as there are up to the limit", () => {
    fc.assert(
      fc.property(
        entropies,
        fc.double({ min: 0, max: 8, noNaN: true }),
        small,
        small,
        fc.nat(),
        (entropies, minEntropy, minimumContext, positionsPerDocument, seed) => {
          const settings = NextToken.settings({ minEntropy, minimumContext, positionsPerDocument })
          const anchors = NextToken.selectAnchors(entropies, settings, seed, "d")
          const eligible = entropies.flatMap((h, i) => (i >= minimumContext && h >= minEntropy ? [i] : []))
          expect(anchors.length).toBe(Math.min(positionsPerDocument, eligible.length))
          expect(anchors.every((anchor) => eligible.includes(anchor))).toBe(true)
          expect(anchors).toEqual([...new Set(anchors)].toSorted((a, b) => a - b))
          expect(NextToken.selectAnchors(entropies, settings, seed, "d")).toEqual(anchors)
        }
      )
    )
  })

  it("by quantile keep about that share of the positions behind the minimum context", () => {
    const rising = Array.from({ length: 116 }, (_, i) => i)
    const settings = NextToken.settings({ quantile: 0.75, minimumContext: 16, positionsPerDocument: 1000 })
    expect(NextToken.selectAnchors(rising, settings, 0, "d")).toEqual(rising.slice(116 - 25))
  })

  it("differ between documents, seeds and epochs, and reach every eligible position", () => {
    const flat = new Float32Array(60).fill(2)
    const settings = NextToken.settings({ minEntropy: 1, minimumContext: 20, positionsPerDocument: 4 })
    const draws = [
      NextToken.selectAnchors(flat, settings, 1, "a"),
      NextToken.selectAnchors(flat, settings, 1, "b"),
      NextToken.selectAnchors(flat, settings, 2, "a"),
      NextToken.selectAnchors(flat, settings, 1, "a", 1)
    ]
    expect(new Set(draws.map(String)).size).toBe(4)
    const reached = new Set(
      Array.from({ length: 200 }, (_, epoch) => NextToken.selectAnchors(flat, settings, 1, "a", epoch)).flat()
    )
    expect(reached.size).toBe(40)
  })

  it("never include a position without an entropy", () => {
    const settings = NextToken.settings({ minEntropy: 0, minimumContext: 1 })
    expect(NextToken.selectAnchors([Number.NaN, Number.NaN, 1], settings, 0, "d")).toEqual([2])
  })
})

describe("windows", () => {
  it("ask every position behind the minimum context in exactly one window, with the right tokens before it", () => {
    fc.assert(
      fc.property(fc.nat(300), small, small, (length, minimumContext, more) => {
        const settings = { minimumContext, maxTokens: minimumContext + more }
        const tokens = Int32Array.from({ length }, (_, i) => i)
        const asked: Array<number> = []
        for (const window of NextToken.windows({ id: "d", tokens }, settings)) {
          expect(window.tokens.length).toBeLessThanOrEqual(settings.maxTokens)
          expect([...window.tokens]).toEqual(Array.from(window.tokens, (_, i) => window.tokens[0] + i))
          asked.push(...window.tokens.subarray(minimumContext))
        }
        expect(asked).toEqual([...tokens.subarray(minimumContext)])
      })
    )
  })

  it("of a document that fits are the document", () => {
    const document = { id: "d", tokens: new Int32Array(30) }
    expect(NextToken.windows(document, { maxTokens: 30, minimumContext: 4 })).toEqual([document])
    expect(NextToken.windows(document, { maxTokens: 20, minimumContext: 4 }).map(({ id }) => id)).toEqual([
      "d#0",
      "d#16"
    ])
  })
})

describe("settings", () => {
  it("have defaults behind the one filter", () => {
    expect(NextToken.settings({ minEntropy: 1 })).toEqual({
      filter: { _tag: "MinEntropy", nats: 1 },
      entropy: { _tag: "TopK", k: 16, renormalised: true },
      minimumContext: 16,
      positionsPerDocument: 8,
      horizon: 16,
      maxTokens: 512
    })
  })

  it("out of range are one clear line", () => {
    const message = (options: NextToken.NextTokenOptions) => {
      try {
        NextToken.settings(options)
      } catch (error) {
        if (error instanceof NextToken.SettingsError) return error.message
      }
      return "no SettingsError"
    }
    expect(message({ minEntropy: -1 })).toBe("minEntropy: -1 given; a number of nats, 0 or more was expected")
    expect(message({ minEntropy: Number.NaN })).toMatch(/^minEntropy: NaN given/)
    expect(message({ quantile: 2 })).toBe("quantile: 2 given; a share from 0 to 1 was expected")
    expect(message({ minEntropy: 1, positionsPerDocument: 0 })).toBe(
      "positionsPerDocument: 0 given; an integer of at least 1 was expected"
    )
    expect(message({ minEntropy: 1, maxTokens: 16 })).toBe(
      "maxTokens: 16 given; more than minimumContext (16) was expected"
    )
  })
})
