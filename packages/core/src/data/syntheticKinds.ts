/**
 * The hidden computations of the generated corpus, as data: an object has a state that moves change. The text tells the
 * moves and then only the result, so each result is a computation over one to four steps that the text does not show.
 *
 *   text     " Mia turns the dial up 2, flip, triple. Now the dial shows 9."
 *   thought  " 4 up 2 is 6 flip is 3 triple is 9"
 *
 * Thoughts of all kinds read "state move is state move is state"; adding to a basket and turning a dial up share their
 * words there, so that what is learnt on one serves the other.
 */

/** One move. Words carry their leading space. */
export interface Move {
  readonly text: ReadonlyArray<string>
  readonly thought: ReadonlyArray<string>
  /** The index of the next state, or "impossible": the basket holds no less than 0 and no more than 9. */
  readonly apply: (state: number) => number | "impossible"
}

export interface Kind {
  readonly name: "dial" | "basket" | "boat"
  /** The word of each state. */
  readonly states: ReadonlyArray<string>
  readonly object: string
  /** " Mia turns the dial …" */
  readonly act: string
  /** " Now the dial shows …" */
  readonly tell: string
  readonly moves: ReadonlyArray<Move>
}

const digits = Array.from({ length: 10 }, (_, digit) => ` ${digit}`)
const amounts = [1, 2, 3]
const modulo = (value: number, n: number) => ((value % n) + n) % n
const bounded = (value: number) => (value < 0 || value > 9 ? "impossible" : value)

const dial: Kind = {
  name: "dial",
  states: digits,
  object: " dial",
  act: " turns",
  tell: " shows",
  moves: [
    ...amounts.map((by) => step(" up", " up", by, (value) => modulo(value + by, 10))),
    ...amounts.map((by) => step(" down", " down", by, (value) => modulo(value - by, 10))),
    { text: [" flip"], thought: [" flip"], apply: (value) => 9 - value },
    { text: [" triple"], thought: [" triple"], apply: (value) => modulo(3 * value, 10) }
  ]
}

const basket: Kind = {
  name: "basket",
  states: digits,
  object: " basket",
  act: " fills",
  tell: " holds",
  moves: [
    ...amounts.map((by) => step(" add", " up", by, (value) => bounded(value + by))),
    ...amounts.map((by) => step(" take", " down", by, (value) => bounded(value - by))),
    { text: [" double"], thought: [" double"], apply: (value) => bounded(2 * value) }
  ]
}

const boat: Kind = {
  name: "boat",
  states: [" north", " east", " south", " west"],
  object: " boat",
  act: " steers",
  tell: " sails",
  moves: [
    { text: [" right"], thought: [" right"], apply: (heading) => modulo(heading + 1, 4) },
    { text: [" around"], thought: [" around"], apply: (heading) => modulo(heading + 2, 4) },
    { text: [" left"], thought: [" left"], apply: (heading) => modulo(heading - 1, 4) }
  ]
}

export const kinds: ReadonlyArray<Kind> = [dial, basket, boat]

function step(text: string, thought: string, by: number, apply: Move["apply"]): Move {
  return { text: [text, digits[by]], thought: [thought, digits[by]], apply }
}

/** The words of the filler sentences: drawn evenly, so nothing can predict them. */
export const filler = {
  openers: ["Today", "Tonight", "Here", "Again"],
  names: [" Mia", " Tom", " Ann", " Sam", " Eva", " Leo"],
  verbs: [" sees", " finds", " paints", " hides", " carries"],
  adjectives: [" red", " old", " small", " bright", " quiet", " green", " heavy", " wet"],
  nouns: [" bird", " lamp", " stone", " letter", " hat", " cat", " coin", " book", " apple", " drum"],
  prepositions: [" near", " behind", " under"],
  places: [" well", " barn", " river", " market", " tower", " garden", " bridge", " mill"]
} as const

/** The words of the fixed sentence frames. */
const frame = [" The", " Now", " the", " a", " and", " is", " waits", " in", " walk", " to"] as const

/** Every word of the corpus and its thoughts once, in an order that token ids hang on: append, never reorder. */
export const words: ReadonlyArray<string> = [
  ...new Set([
    ".",
    ",",
    ...frame,
    ...kinds.flatMap((kind) => [
      ...kind.states,
      kind.object,
      kind.act,
      kind.tell,
      ...kind.moves.flatMap((move) => [...move.text, ...move.thought])
    ]),
    ...Object.values(filler).flat()
  ])
]
