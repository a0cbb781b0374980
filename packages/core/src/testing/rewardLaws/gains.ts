/** What a reward claims never to pay for: edits around an answer that leave the answer as it is. */
import { Effect } from "effect"
import * as fc from "fast-check"
import { concat, utf8 } from "../../prompt/bytes.ts"
import { thought } from "../../prompt/Template.ts"
import type { NoGain } from "../../reward/Claims.ts"
import type { Verdict } from "../../reward/Verdict.ts"
import type { ParsedGroup } from "../../rl/Group.ts"
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
  subject.claims.noGain.map((name) => gainLaw(subject, edits[name]))

const gainLaw = (subject: Subject, edit: Edit): Law => {
  const { template, settings } = subject
  const examine = (editCase: EditCase) =>
    Effect.gen(function* () {
      const { before, after } = yield* judged(subject, edit, editCase)
      if (!sameAnswer(before, after) || !(after.value > before.value)) return undefined
      const { text } = edit.apply(subject, editCase)
      return `rollout ${editCase.at} earns ${before.value}, and ${after.value} with ${showBytes(text)} ${edit.done}`
    })
  const show = async (editCase: EditCase) => {
    const { table, group, at } = editCase
    const { before, after } = await Effect.runPromise(judged(subject, edit, editCase))
    return showRollouts(template, { table, problem: group.problem }, [
      { ...before, label: `rollout ${at}` },
      { ...after, label: "edited" }
    ])
  }
  return law(`${subject.name} ${edit.law}`, editCases(subject), examine, { ...settings, show })
}

/** A rollout with its verdict, and with the edited one in its place in the group. Unscorable is worth NaN: never more. */
const judged = (subject: Subject, edit: Edit, editCase: EditCase) =>
  Effect.gen(function* () {
    const { group, at } = editCase
    const edited = withBytes(subject.template, group.rollouts[at], edit.apply(subject, editCase).bytes)
    const ask = (group: ParsedGroup) =>
      Effect.map(subject.verdicts(group), (verdicts) => ({
        parsed: group.rollouts[at],
        verdict: verdicts[at],
        value: valueOf(verdicts[at])
      }))
    const before = yield* ask(group)
    return { before, after: yield* ask({ ...group, rollouts: group.rollouts.with(at, edited) }) }
  })

const valueOf = (verdict: Verdict): number => (verdict._tag === "Scored" ? verdict.value : NaN)

/** An edit may make another answer of a completion, where markers meet: then nothing is claimed. */
const sameAnswer = (before: { readonly parsed: ParsedRollout }, after: { readonly parsed: ParsedRollout }): boolean =>
  JSON.stringify(before.parsed.prediction) === JSON.stringify(after.parsed.prediction)

const editCases = ({ template }: Subject): fc.Arbitrary<EditCase> =>
  fc
    .record({ case: groupCase(template), at: fc.nat(7), choice: towardsFirst([0, 1, 2, 3, 4]) })
    .map(({ case: { table, group }, at, choice }) => ({ table, group, at: at % group.rollouts.length, choice }))

/** The last tokens of the context. */
const contextOf = ({ table, group }: GroupCase, tokens: number): Uint8Array => {
  const { document, anchor } = group.problem
  return concat(...Array.from(document.tokens.subarray(Math.max(0, anchor - tokens), anchor), (token) => table[token]))
}
