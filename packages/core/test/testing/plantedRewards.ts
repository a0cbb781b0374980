/** Rewards as users write them, each wrong in one line, beside the one that is right. */
import type { Continuation } from "../../src/data/NextToken.ts"
import * as Reward from "../../src/reward/index.ts"

export interface Planted<Subject> {
  readonly bug: string
  /** What catches it: the end of the law's name. */
  readonly law: string
  readonly wrong: Subject
  readonly right: Subject
  /** What a person must be able to read in the report. */
  readonly explains: ReadonlyArray<RegExp>
}

const decode = (bytes: Uint8Array) => Buffer.from(bytes).toString()

/** A reward that looks at the parsed prediction. */
const judging = (name: string, wins: (answer: Uint8Array, truth: Continuation) => boolean) =>
  Reward.pure(
    name,
    ({ prediction }, { continuation }) =>
      prediction.outcome === "answered" && wins(prediction.bytes, continuation) ? 1 : 0,
    Reward.prefixVerifier
  )

/** A reward that reads the completion itself. */
const reading = (name: string, answerOf: (completion: Buffer) => Buffer | undefined) =>
  Reward.pure(
    name,
    ({ rollout }, { continuation }) => {
      const answer = answerOf(Buffer.from(rollout.bytes))
      return answer !== undefined && answer.length > 0 && isPrefix(answer, continuation) ? 1 : 0
    },
    Reward.prefixVerifier
  )

const isPrefix = (answer: Uint8Array, { bytes, boundaries }: Continuation) =>
  boundaries.some((end) => Buffer.from(bytes.subarray(0, end)).equals(answer))

const afterThought = (completion: Buffer) => {
  const end = completion.lastIndexOf("</think>")
  return end < 0 ? undefined : completion.subarray(end + "</think>".length)
}

const balanced = (text: Buffer, start: number) => {
  let depth = 1
  for (let i = start; i < text.length; i++) {
    depth += text[i] === 0x7b ? 1 : text[i] === 0x7d ? -1 : 0
    if (depth === 0) return text.subarray(start, i)
  }
  return undefined
}

const boxAt = (find: (text: Buffer) => number) => (completion: Buffer) => {
  const text = afterThought(completion)
  const box = text === undefined ? -1 : find(text)
  return text === undefined || box < 0 ? undefined : balanced(text, box + "\\boxed{".length)
}

const right = judging("right", isPrefix)
const rightReader = reading(
  "rightReader",
  boxAt((text) => text.lastIndexOf("\\boxed{"))
)

export const plantedRewards: ReadonlyArray<Planted<Reward.Reward>> = [
  {
    bug: "token lengths are taken from decoded strings",
    law: "pays for nothing but a prefix on a token boundary",
    wrong: judging("decodedLengths", (answer, { bytes, boundaries }) => {
      const lengths = boundaries.map((end) => Buffer.byteLength(decode(bytes.subarray(0, end))))
      return lengths.includes(answer.length) && Buffer.from(bytes).subarray(0, answer.length).equals(answer)
    }),
    right,
    explains: [
      /earns 1, but its prediction ".*" ends after byte \d+, inside a token: tokens end at \{.*\}/,
      /tokens +.*‹[89a-f].›/ // a token that is no whole character
    ]
  },
  {
    bug: "no prediction is a prefix of everything",
    law: "gives nothing for a truncated thought",
    wrong: Reward.pure(
      "startsWithEmpty",
      ({ prediction }, { continuation }) => {
        const answer = prediction.outcome === "answered" ? prediction.bytes : new Uint8Array(0)
        const ends = [0, ...continuation.boundaries] // sums of token lengths, from the start
        return ends.some((end) => Buffer.from(continuation.bytes.subarray(0, end)).equals(answer)) ? 1 : 0
      },
      Reward.prefixVerifier
    ),
    right,
    explains: [/rollout 0 earns 1 for none \(truncated\)/, /prediction +none \(truncated\)/]
  },
  {
    bug: "predictions are trimmed",
    law: "pays for nothing but a prefix on a token boundary",
    wrong: judging("trimmed", (answer, { bytes, boundaries }) => {
      const trimmed = (bytes: Uint8Array) => Buffer.from(bytes).toString("latin1").trim()
      return boundaries.some((end) => trimmed(bytes.subarray(0, end)) === trimmed(answer))
    }),
    right,
    explains: [
      /earns 1, but its prediction "(.*)" (has the byte (0[9a-d]|20|a0)|goes on|ends after|.* the truth has (0[9a-d]|20|a0))/
    ]
  },
  {
    bug: "the first box counts",
    law: "pays for nothing but a prefix on a token boundary",
    wrong: reading(
      "firstBox",
      boxAt((text) => text.indexOf("\\boxed{"))
    ),
    right: rightReader,
    explains: [/earns 1, but /, /rollout 0 +".*<\/think>.*\\boxed\{.*\\boxed\{.*/]
  },
  {
    bug: "a regular expression reads to the first brace",
    law: "pays for every prefix on a token boundary",
    wrong: reading("regexBox", (completion) => {
      const text = afterThought(completion)?.toString("latin1") ?? ""
      const last = [...text.matchAll(/\\boxed\{([^}]*)\}/g)].at(-1)
      return last === undefined ? undefined : Buffer.from(last[1], "latin1")
    }),
    right: rightReader,
    explains: [/gets 0, but ".*[{}].*" +.*(7b|7d).* is the truth up to a token boundary/, /\\boxed\{.*\}.*\}"/]
  },
  {
    bug: "the last boundary is left out",
    law: "pays for every prefix on a token boundary",
    wrong: judging("offByOne", (answer, { bytes, boundaries }) => {
      for (let i = 0; i < boundaries.length - 1; i++) {
        if (Buffer.from(bytes.subarray(0, boundaries[i])).equals(answer)) return true
      }
      return false
    }),
    right: judging("allBoundaries", (answer, { bytes, boundaries }) => {
      for (let i = 0; i < boundaries.length; i++) {
        if (Buffer.from(bytes.subarray(0, boundaries[i])).equals(answer)) return true
      }
      return false
    }),
    explains: [/gets 0, but "a" {2}61 is the truth up to a token boundary/, /truth +"a" {2}61/, /boundaries +\{1\}/]
  },
  {
    bug: "capitals are folded",
    law: "pays for nothing but a prefix on a token boundary",
    wrong: judging("caseFolding", (answer, { bytes, boundaries }) => {
      const folded = (bytes: Uint8Array) => Buffer.from(bytes).toString("latin1").toLowerCase()
      return boundaries.some((end) => folded(bytes.subarray(0, end)) === folded(answer))
    }),
    right,
    explains: [/earns 1, but its prediction "(.*)" has the byte .. at \d+, where the truth has ../]
  },
  {
    bug: "rollouts without an answer are dropped from the group",
    law: "gives one verdict per rollout",
    wrong: Reward.make("dropping", (group) => {
      const answered = group.rollouts.filter(({ prediction }) => prediction.outcome === "answered")
      return Reward.prefixMatch.score({ ...group, rollouts: answered })
    }),
    right: Reward.make("keeping", (group) => Reward.prefixMatch.score(group)),
    explains: [/dropping gave 0 verdicts for 1 rollouts/, /prediction +none/]
  }
]
