import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import * as Synthetic from "../../src/data/Synthetic.ts"

const { tokenizer } = Synthetic
const splits = ["train", "validation", "test"] as const
const at = fc.record({
  seed: fc.maxSafeInteger(),
  split: fc.constantFrom(...splits),
  index: fc.nat(1e6),
  worked: fc.constantFrom(0, 0.5, 1)
})

describe("a generated document", () => {
  it("reads like this", () => {
    const { text } = Synthetic.document({ seed: 1, split: "train", index: 0 })
    expect(text).toBe(
      "Tonight the fair opens Monday. Ann moves the fair later 2, earlier 1, later 1, earlier 1, " +
        "earlier 1. Now the fair opens Monday. Ann moves the fair later 2, earlier 2, later 1, later 2, " +
        "earlier 1. Now the fair opens Wednesday. Ann moves the fair later 1. Now the fair opens " +
        "Thursday. Ann moves the fair later 1, later 2. Now the fair opens Sunday."
    )
  })

  it("is a function of seed, split and index, and no two are equal", () => {
    fc.assert(
      fc.property(at, (at) => {
        expect(Synthetic.document(at)).toEqual(Synthetic.document({ ...at }))
      })
    )
    const texts = Array.from(
      { length: 3000 },
      (_, index) => Synthetic.document({ seed: 3, split: "train", index }).text
    )
    expect(new Set(texts).size).toBe(texts.length)
  })

  it("is encoded by its tokenizer to the tokens it was made of, and back to its bytes", () => {
    fc.assert(
      fc.property(at, (at) => {
        const { text, tokens } = Synthetic.document(at)
        expect(tokenizer.encode(text)).toEqual(tokens)
        expect(tokenizer.bytesOf(tokens)).toEqual(new TextEncoder().encode(text))
      })
    )
  })

  it("has 50 to 160 tokens, 70 to 110 on average, four results, and a role for every token", () => {
    let total = 0
    for (let index = 0; index < 1000; index++) {
      const { tokens, roles, computed } = Synthetic.document({ seed: 5, split: "train", index })
      total += tokens.length
      expect(tokens.length >= 50 && tokens.length <= 160).toBe(true)
      expect(roles.length).toBe(tokens.length)
      expect(roles.flatMap((role, i) => (role === "computed" ? [i] : []))).toEqual(computed.map((c) => c.position))
      expect(computed.length).toBe(4)
    }
    expect(total / 1000 > 70 && total / 1000 < 110).toBe(true)
  })

  it("has results and thoughts that an interpreter of the plain text arrives at too", () => {
    fc.assert(
      fc.property(at, (at) => {
        const { text, tokens, computed } = Synthetic.document(at)
        expect(
          computed.map(({ position, kind, moves, thought }) => ({
            answer: tokenizer.text([tokens[position]]).trim(),
            kind,
            moves,
            thought: tokenizer.text(thought).trim()
          }))
        ).toEqual(interpret(text))
      })
    )
  })

  it("has fixed tokens that follow from the three before them, except the object that has just been changed", () => {
    const next = new Map<string, string>()
    for (let index = 0; index < 2000; index++) {
      const { tokens, roles } = Synthetic.document({ seed: 13, split: "train", index })
      const words = Array.from(tokens, (token) => tokenizer.text([token]))
      for (const [i, word] of words.entries()) {
        const before = words.slice(Math.max(0, i - 3), i).join("")
        if (roles[i] !== "fixed" || before.endsWith(" Now the")) continue
        expect(next.get(before) ?? word).toBe(word)
        next.set(before, word)
      }
    }
    expect(next.size).toBeGreaterThan(100)
  })

  it("shares no computation of three or more moves with another split, and has at least one", () => {
    const seen = splits.map((split) => {
      const chains = new Set<string>()
      for (let index = 0; index < 1500; index++) {
        const { computed } = Synthetic.document({ seed: 7, split, index })
        const long = computed.filter(({ moves }) => moves >= 3)
        expect(long.length).toBeGreaterThan(0)
        for (const { kind, thought } of long) chains.add(`${kind} ${thought.join()}`)
      }
      return chains
    })
    for (const [i, chains] of seen.entries()) {
      expect(chains.size).toBeGreaterThan(100)
      for (const other of seen.slice(i + 1)) expect([...chains].filter((chain) => other.has(chain))).toEqual([])
    }
  })

  it("asks for one to five moves about as often as the shares say", () => {
    const counts = [0, 0, 0, 0, 0]
    for (let index = 0; index < 1000; index++) {
      for (const { moves } of Synthetic.document({ seed: 9, split: "train", index }).computed) counts[moves - 1]++
    }
    // 0.3 .2 .2 .15 .15, and the sixteenth of documents without a long computation get one.
    const expected = [0.285, 0.19, 0.225, 0.15, 0.15]
    for (const [i, count] of counts.entries()) expect(Math.abs(count / 4000 - expected[i])).toBeLessThan(0.03)
  })
})

describe("the worked examples of a document", () => {
  it("without noise are its thoughts, and two empty thoughts at tokens that are no results", () => {
    fc.assert(
      fc.property(at, (at) => {
        const document = Synthetic.document(at)
        const all = Synthetic.traces(document, { seed: at.seed, noise: 0 })
        const worked = document.computed.map(({ position, thought, moves }) => ({
          anchor: position,
          thought,
          moves,
          answer: document.tokens[position]
        }))
        expect(all.slice(0, -2)).toEqual(worked)
        for (const plain of all.slice(-2)) {
          expect([plain.thought.length, plain.moves]).toEqual([0, 0])
          expect(document.roles[plain.anchor]).not.toBe("computed")
          expect(plain.answer).toBe(document.tokens[plain.anchor])
        }
      })
    )
  })

  it("with noise have that share of thought tokens wrong and every answer right", () => {
    let wrong = 0
    let total = 0
    for (let index = 0; index < 500; index++) {
      const document = Synthetic.document({ seed: 11, split: "train", index })
      const all = Synthetic.traces(document, { seed: 11, noise: 0.05 })
      for (const [i, { thought }] of document.computed.entries()) {
        expect(all[i].answer).toBe(document.tokens[document.computed[i].position])
        expect(all[i].thought.length).toBe(thought.length)
        total += thought.length
        wrong += thought.reduce((count, token, j) => count + (token === all[i].thought[j] ? 0 : 1), 0)
      }
    }
    expect(Math.abs(wrong / total - 0.05)).toBeLessThan(0.01)
  })
})

describe("text with worked computations", () => {
  it("is about the share of documents that was asked for, and told by how it opens", () => {
    let plain = 0
    for (let index = 0; index < 1000; index++) {
      const { text, tokens, computed } = Synthetic.document({ seed: 17, split: "train", index, worked: 0.3 })
      expect(computed.length).toBe(text.startsWith("To") ? 4 : 0)
      plain += computed.length === 4 ? 1 : 0
      expect(tokenizer.bytesOf(tokens)).toEqual(new TextEncoder().encode(text))
    }
    expect(Math.abs(plain / 1000 - 0.7)).toBeLessThan(0.05)
  })
})

describe("the tokenizer of the generated corpus", () => {
  it("has stable ids", () => {
    expect(Synthetic.specialTokens.map((token) => tokenizer.tokenId(token))).toEqual([0, 1, 2, 3, 4])
    expect([tokenizer.vocabSize, tokenizer.bos, tokenizer.eos, ...tokenizer.prefix]).toEqual([82, 1, 2, 1])
    // The same ids came out of Python's tokenizers 0.23.3 (add_special_tokens=False) for this text and file.
    const text = "Here the dial shows 4.<|think|> 4 up 2 is 6</think> 6<|end|>"
    expect([...tokenizer.encodePrompt(text, "opens")]).toEqual([52, 9, 27, 29, 21, 5, 3, 21, 30, 19, 12, 23, 4, 23, 2])
  })

  it("refuses a word that it does not have, where its file says <unk>", () => {
    expect(() => tokenizer.encode("Here the zoo")).toThrow('the vocabulary cannot spell the text from " zoo" on')
  })
})

/** Reads the story as a person would: an independent interpreter over the plain text. */
function interpret(text: string) {
  const days = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
  const out: Array<{ answer: string; kind: string; moves: number; thought: string }> = []
  let value = ""
  let pending = { moves: 0, thought: "", worked: false }
  for (const sentence of text.split(/[.:]/).map((sentence) => sentence.trim())) {
    const told = /^(\w+) the (dial|basket|fair) (?:shows|holds|opens) (\w+)$/.exec(sentence)
    const acted = /^\w+ (?:turns|fills|moves) the (dial|basket|fair) (.+)$/.exec(sentence)
    if (acted) {
      const moves = acted[2].split(", ")
      let thought = value
      for (const move of moves) {
        const [word, by] = move.split(" ")
        value = apply(acted[1], value, word, Number(by))
        thought += ` ${move} is ${value}`
      }
      pending = { moves: moves.length, thought, worked: false }
    } else if (sentence === pending.thought && sentence !== "") {
      pending = { ...pending, worked: true }
    } else if (told) {
      if (told[1] !== "Now") value = told[3]
      else {
        expect(value).toBe(told[3])
        if (!pending.worked) out.push({ answer: value, kind: told[2], moves: pending.moves, thought: pending.thought })
      }
    }
  }
  return out

  function apply(object: string, value: string, move: string, by: number): string {
    if (object === "fair") return days[(days.indexOf(value) + (move === "later" ? by : 7 - by)) % 7]
    const number = Number(value)
    if (move === "flip") return String(9 - number)
    const moved = move === "up" || move === "add" ? number + by : number - by
    return String(object === "dial" ? (moved + 10) % 10 : moved)
  }
}
