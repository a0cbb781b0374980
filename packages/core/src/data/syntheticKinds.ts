/**
 * The hidden computations of the generated corpus, as data: an object has a state that moves change. The text tells the
 * moves and then only the result, so each result is a computation over one to five steps that the text does not show.
 *
 *   text     " Mia turns the dial up 2, flip, down 1. Now the dial shows 2."
 *   thought  " 4 up 2 is 6 flip is 3 down 1 is 2"
 *
 * Thoughts of all kinds read "state move is state move is state", the moves in the words of the text.
 */

/** One move. Words carry their leading space. */
export interface Move {
  readonly words: ReadonlyArray<string>
  /** The index of the next state, or "impossible": no object goes beyond its first or last state. */
  readonly apply: (state: number) => number | "impossible"
}

export interface Kind {
  readonly name: "dial" | "basket" | "fair"
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
const within = (last: number, state: number) => (state < 0 || state > last ? "impossible" : state)

const dial: Kind = {
  name: "dial",
  states: digits,
  object: " dial",
  act: " turns",
  tell: " shows",
  moves: [
    ...[1, 2, 3].map((by) => step(" up", by, (value) => within(9, value + by))),
    ...[1, 2, 3].map((by) => step(" down", by, (value) => within(9, value - by))),
    { words: [" flip"], apply: (value) => 9 - value }
  ]
}

const basket: Kind = {
  name: "basket",
  states: digits,
  object: " basket",
  act: " fills",
  tell: " holds",
  moves: [
    ...[1, 2, 3].map((by) => step(" add", by, (value) => within(9, value + by))),
    ...[1, 2, 3].map((by) => step(" take", by, (value) => within(9, value - by)))
  ]
}

const fair: Kind = {
  name: "fair",
  states: [" Monday", " Tuesday", " Wednesday", " Thursday", " Friday", " Saturday", " Sunday"],
  object: " fair",
  act: " moves",
  tell: " opens",
  moves: [
    ...[1, 2].map((by) => step(" later", by, (day) => within(6, day + by))),
    ...[1, 2].map((by) => step(" earlier", by, (day) => within(6, day - by)))
  ]
}

export const kinds: ReadonlyArray<Kind> = [dial, basket, fair]

function step(name: string, by: number, apply: Move["apply"]): Move {
  return { words: [name, digits[by]], apply }
}

/** The words of the filler sentences: drawn evenly, so nothing can predict them. */
export const filler = {
  openers: ["Today", "Tonight"],
  /** What documents begin with that spell their computations out. */
  workedOpeners: ["Here", "Again"],
  names: [" Mia", " Tom", " Ann", " Sam"],
  verbs: [" sees", " finds", " paints", " hides"],
  adjectives: [" red", " old", " small", " bright"],
  nouns: [" bird", " lamp", " stone", " letter", " hat", " cat", " coin", " book"],
  prepositions: [" near", " behind", " under"],
  places: [" well", " barn", " river", " market"]
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
      ...kind.moves.flatMap((move) => move.words)
    ]),
    ...Object.values(filler).flat(),
    ":"
  ])
]
