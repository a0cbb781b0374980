/**
 * "dials": English-like documents with hidden computation, for the quick start and the tests. An object (a dial, a
 * basket or a fair) has a state; four times somebody changes one of them in one to five moves, and the text tells only
 * the result. Sentences of evenly drawn words stand in between: nothing can predict those.
 *
 * Document i of (seed, split) is a pure function. Splits are disjoint by construction: a computation of three or more
 * moves belongs to one split by its hash, and every document has at least one such.
 */
import * as draw from "../random/draw.ts"
import type { Document } from "./Document.ts"
import { filler, kinds } from "./syntheticKinds.ts"
import type { Kind, Move } from "./syntheticKinds.ts"
import { idsOf } from "./syntheticTokenizer.ts"

export { specialTokens, tokenizer } from "./syntheticTokenizer.ts"

export type Split = "train" | "validation" | "test"

/**
 * What decides a token: "computed" the hidden computation; "worked" one that the text spells out, step by step; "fixed"
 * the sentence it stands in, for certain; "free" a draw.
 */
export type Role = "computed" | "worked" | "fixed" | "free"

export interface SyntheticDocument extends Document {
  /** tokenizer.encode(text), about 60 to 150 tokens. */
  readonly tokens: Int32Array
  /** One per token. */
  readonly roles: ReadonlyArray<Role>
  /** The results, in order of position. */
  readonly computed: ReadonlyArray<Computed>
}

/** A token that takes hidden computation: tokens[position] follows from `moves` moves, as `thought` spells out. */
export interface Computed {
  readonly position: number
  readonly kind: Kind["name"]
  readonly moves: number
  readonly thought: Int32Array
}

/** A worked example for the format warm-up: at the anchor, think `thought`, answer with the one token `answer`. */
export interface Trace {
  readonly anchor: number
  readonly thought: Int32Array
  readonly answer: number
  /** 0 for an example with an empty thought. */
  readonly moves: number
}

const questions = 4
/** Shares of questions with 1 to 5 moves. */
const moveShares = [0.3, 0.2, 0.2, 0.15, 0.15]
const fillerShare = 0.15
/** From so many moves on, a computation belongs to one split. */
const disjointFrom = 3

/**
 * Document `index` of (seed, split). A share `worked` (default 0) of the documents are worked throughout, as a textbook is:
 * they open with other words and spell out each computation before they tell its result, which is then not a computed one.
 */
export function document(at: {
  readonly seed: number
  readonly split: Split
  readonly index: number
  readonly worked?: number
}): SyntheticDocument {
  const random = dice(at.seed, ["dials", at.split, at.index])
  const page = writer()
  const counts = moveCounts(random)
  const worked = random.uniform() < (at.worked ?? 0)
  const object = openObject(random, page, worked)
  for (const count of counts) {
    if (random.uniform() < fillerShare) writeFiller(random, page)
    const chain = drawChain(random, object, count, at.split)
    writeQuestion(page, object, chain, worked)
  }
  return {
    id: `dials/${at.split}/${at.seed}/${at.index}`,
    text: page.words.join(""),
    tokens: idsOf(page.words),
    roles: page.roles,
    computed: page.computed
  }
}

/**
 * The worked examples of a document: one per computed token, and two with an empty thought at tokens that take none, so
 * that the form teaches when not to think, too. A share `noise` of the thought tokens is replaced by wrong ones of the same
 * kind; answers stay right.
 */
export function traces(
  document: SyntheticDocument,
  options: { readonly seed: number; readonly noise: number }
): ReadonlyArray<Trace> {
  const random = dice(options.seed, ["traces", document.id])
  const worked = document.computed.map(({ position, kind, moves, thought }) => ({
    anchor: position,
    thought: thought.map((token) => (random.uniform() < options.noise ? random.pick(wrongTokens(kind, token)) : token)),
    answer: document.tokens[position],
    moves
  }))
  const others = document.roles.flatMap((role, i) => (role !== "computed" && i >= minimumContext ? [i] : []))
  const plain = Array.from({ length: plainExamples }, () => random.pick(others)).map((anchor) => ({
    anchor,
    thought: new Int32Array(0),
    answer: document.tokens[anchor],
    moves: 0
  }))
  return [...worked, ...plain]
}

const plainExamples = 2
const minimumContext = 8

/** Which split a computation of three or more moves belongs to: 8 in 10 to train, 1 each to validation and test. */
export function splitOf(kind: Kind["name"], start: string, moves: ReadonlyArray<string>): Split {
  const bucket = draw.fnv1a(`${kind}:${start}:${moves.join("")}`) % 10
  return bucket === 0 ? "test" : bucket === 1 ? "validation" : "train"
}

interface Thing {
  readonly kind: Kind
  readonly owner: string
  state: number
}

function openObject(random: Dice, page: Writer, worked: boolean): Thing {
  const kind = random.pick(kinds)
  const owner = random.pick(filler.names)
  const state = random.integer(kind.states.length)
  page.free(random.pick(worked ? filler.workedOpeners : filler.openers)).fixed(" the")
  page.free(kind.object).fixed(kind.tell).free(kind.states[state]).fixed(".")
  return { kind, owner, state }
}

function moveCounts(random: Dice): ReadonlyArray<number> {
  const counts = Array.from({ length: questions }, () => {
    let rest = random.uniform()
    const index = moveShares.findIndex((share) => (rest -= share) < 0)
    return index < 0 ? moveShares.length : index + 1
  })
  // At least one computation that is the split's own: it makes the whole document so.
  return counts.some((count) => count >= disjointFrom) ? counts : [...counts.slice(0, -1), disjointFrom]
}

/** Moves that are possible from here and, from three on, belong to the split; a fourth where three find none. */
function drawChain(random: Dice, { kind, state }: Thing, count: number, split: Split): ReadonlyArray<Move> {
  for (let attempt = 0; attempt < 2000; attempt++) {
    const chain: Array<Move> = []
    let current = state
    for (let i = 0; i < (attempt < 60 ? count : Math.max(count, 4)); i++) {
      const possible = kind.moves.flatMap((move) => {
        const next = move.apply(current)
        return next === "impossible" ? [] : [{ move, next }]
      })
      const { move, next } = random.pick(possible)
      chain.push(move)
      current = next
    }
    const texts = chain.map((move) => move.words.join(""))
    if (chain.length < disjointFrom || splitOf(kind.name, kind.states[state], texts) === split) return chain
  }
  throw new Error(`no computation of the ${kind.name} from state ${state} belongs to ${split}`)
}

function writeQuestion(page: Writer, object: Thing, chain: ReadonlyArray<Move>, worked: boolean): void {
  const { kind, owner } = object
  page.free(owner, kind.act).fixed(" the", kind.object)
  const thought = [kind.states[object.state]]
  for (const [i, move] of chain.entries()) {
    const next = move.apply(object.state)
    if (next === "impossible") throw new Error("a chain is drawn from possible moves")
    if (i > 0) page.free(",")
    page.free(...move.words)
    thought.push(...move.words, " is", kind.states[next])
    object.state = next
  }
  if (worked)
    page
      .free(":")
      .worked(...thought)
      .fixed(".")
  else page.free(".")
  page.fixed(" Now", " the", kind.object, kind.tell)
  if (worked) page.worked(kind.states[object.state])
  else page.result(kind.states[object.state], { kind: kind.name, moves: chain.length, thought: idsOf(thought) })
  page.fixed(".")
}

function writeFiller(random: Dice, page: Writer): void {
  const { names, verbs, adjectives, nouns, prepositions, places } = filler
  const shape = random.integer(3)
  if (shape === 0) {
    page.free(random.pick(names), random.pick(verbs)).fixed(" a")
    page.free(random.pick(adjectives), random.pick(nouns), random.pick(prepositions)).fixed(" the")
  } else if (shape === 1) {
    page.free(" The", random.pick(adjectives), random.pick(nouns)).fixed(" waits", " in", " the")
  } else {
    const name = random.pick(names)
    page.free(name, " and", random.pick(names.filter((other) => other !== name))).fixed(" walk", " to", " the")
  }
  page.free(random.pick(places)).fixed(".")
}

/** The other words that thoughts of this kind are made of. */
function wrongTokens(name: Kind["name"], token: number): ReadonlyArray<number> {
  const kind = kinds.find((kind) => kind.name === name)
  if (kind === undefined) throw new Error(`no kind ${name}`)
  const all = idsOf([...kind.states, ...kind.moves.map((move) => move.words[0])])
  return [...new Set(all)].filter((other) => other !== token)
}

type Writer = ReturnType<typeof writer>

/** Collects words with what decides them. */
function writer() {
  const words: Array<string> = []
  const roles: Array<Role> = []
  const computed: Array<Computed> = []
  const write = (role: Role, all: ReadonlyArray<string>) => {
    for (const word of all) {
      words.push(word)
      roles.push(role)
    }
    return page
  }
  const page = {
    words,
    roles,
    computed,
    fixed: (...all: ReadonlyArray<string>) => write("fixed", all),
    free: (...all: ReadonlyArray<string>) => write("free", all),
    worked: (...all: ReadonlyArray<string>) => write("worked", all),
    result: (word: string, how: Omit<Computed, "position">) => {
      computed.push({ position: words.length, ...how })
      return write("computed", [word])
    }
  }
  return page
}

type Dice = ReturnType<typeof dice>

/** Draws one after the other from the stream of a path, for code that cannot say beforehand how many it needs. */
function dice(seed: number, path: draw.Path) {
  const source = draw.stream(seed, path)
  const batch = 256
  let words: Uint32Array = new Uint32Array(0)
  let position = 0
  const word = () => {
    if (position % batch === 0) words = draw.wordsOf(source, batch, position)
    return words[position++ % batch]
  }
  const integer = (n: number) => Math.floor((word() * n) / 2 ** 32)
  return {
    uniform: () => word() * 2 ** -32,
    integer,
    pick: <A>(items: ReadonlyArray<A>): A => items[integer(items.length)]
  }
}
