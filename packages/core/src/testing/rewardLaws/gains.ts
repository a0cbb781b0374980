/** What a reward claims never to pay for: edits around an answer that leave the answer as it is. */
import { Effect } from "effect"
import * as fc from "fast-check"
import { concat, utf8 } from "../../prompt/bytes.ts"
import { thought } from "../../prompt/Template.ts"
import type { NoGain } from "../../reward/Claims.ts"
import type { ParsedRollout } from "../../rl/Rollout.ts"
import { type GroupCase, groupCase, withBytes } from "../arbitraries/group.ts"
import { towardsFirst } from "../arbitraries/vocabulary.ts"
import { type Law, law } from "../Law.ts"
import { showBytes, showRollouts } from "../show.ts"
import type { Subject } from "./Subject.ts"

/** A group, and which rollout of it is edited how. */
interface EditCase extends GroupCase {
  readonly at: number
  /** Chooses among the texts of an edit. */
  readonly choice: number
}

interface Edit {
  readonly law: string
  readonly done: string
  /** The completion after the edit, and the text that came to it. */
  readonly apply: (subject: Subject, editCase: EditCase) => { readonly bytes: Uint8Array; readonly text: Uint8Array }
}

const edits: Readonly<Record<NoGain, Edit>> = {
  appended: {
    law: "pays no more for appended text",
    done: "behind the answer",
    apply: (_, { table, group, at, choice }) => {
      const { continuation } = group.problem
      const texts = [utf8("x"), utf8(" "), utf8("\n"), contextOf({ table, group }, 1), continuation.bytes]
      const text = texts[choice % texts.length]
      return { bytes: concat(group.rollouts[at].rollout.bytes, text), text }
    }
  },
  repetition: {
    law: "pays no more for a thought said twice",
    done: "said twice",
    apply: ({ template }, { group, at }) => {
      const { bytes } = group.rollouts[at].rollout
      const text = thought(template, bytes)
      return { bytes: concat(text, bytes), text }
    }
  },
  quotation: {
    law: "pays no more for quoting the context",
    done: "quoted from the context",
    apply: (_, { table, group, at, choice }) => {
      const text = contextOf({ table, group }, 1 + (choice % 4))
      return { bytes: concat(text, group.rollouts[at].rollout.bytes), text }
    }
  }
}

export const gainLaws = (subject: Subject): ReadonlyArray<Law> =>
  subject.claims.noGain.map((name) => {
    const edit = edits[name]
    /** The edited rollout, unless the edit has made another answer of it: markers may have met. */
    const edited = (editCase: EditCase): ParsedRollout | undefined => {
      const before = editCase.group.rollouts[editCase.at]
      const after = withBytes(subject.template, before, edit.apply(subject, editCase).bytes)
      return JSON.stringify(before.prediction) === JSON.stringify(after.prediction) ? after : undefined
    }
    const verdicts = (editCase: EditCase, rollout: ParsedRollout) =>
      Effect.gen(function* () {
        const { group, at } = editCase
        const before = yield* subject.verdicts(group)
        const after = yield* subject.verdicts({ ...group, rollouts: group.rollouts.with(at, rollout) })
        return [before[at], after[at]] as const
      })
    const show = async (editCase: EditCase) => {
      const { table, group, at } = editCase
      const [before, after] = [group.rollouts[at], edited(editCase) ?? group.rollouts[at]]
      const [first, second] = await Effect.runPromise(verdicts(editCase, after))
      return showRollouts(subject.template, { table, problem: group.problem }, [
        { label: `rollout ${at}`, parsed: before, verdict: first },
        { label: "edited", parsed: after, verdict: second }
      ])
    }
    return law(
      `${subject.name} ${edit.law}`,
      editCase(subject),
      (editCase) =>
        Effect.gen(function* () {
          const rollout = edited(editCase)
          if (rollout === undefined) return undefined
          const [before, after] = yield* verdicts(editCase, rollout)
          if (before._tag !== "Scored" || after._tag !== "Scored" || after.value <= before.value) return undefined
          const { text } = edit.apply(subject, editCase)
          return `rollout ${editCase.at} earns ${before.value}, and ${after.value} with ${showBytes(text)} ${edit.done}`
        }),
      { ...subject.settings, show }
    )
  })

const editCase = ({ template }: Subject): fc.Arbitrary<EditCase> =>
  fc
    .record({ case: groupCase(template), at: fc.nat(7), choice: towardsFirst([0, 1, 2, 3, 4]) })
    .map(({ case: { table, group }, at, choice }) => ({ table, group, at: at % group.rollouts.length, choice }))

/** The last tokens of the context. */
const contextOf = ({ table, group }: GroupCase, tokens: number): Uint8Array => {
  const { document, anchor } = group.problem
  return concat(...Array.from(document.tokens.subarray(Math.max(0, anchor - tokens), anchor), (token) => table[token]))
}
