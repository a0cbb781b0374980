/** What holds of every reward, whatever it claims. */
import { Effect } from "effect"
import type { UnscorableKind, Verdict } from "../../reward/Verdict.ts"
import type { ParsedGroup } from "../../rl/Group.ts"
import { behaviourLogprobs } from "../../rl/Rollout.ts"
import type { Law } from "../Law.ts"
import { showVerdict } from "../show.ts"
import { firstFinding, ofGroups, ofVerdicts, type Subject } from "./Subject.ts"

export const contractLaws = (subject: Subject): ReadonlyArray<Law> => {
  const never = (what: string, ...kinds: ReadonlyArray<UnscorableKind>) =>
    ofVerdicts(subject, what, (verdict) =>
      verdict._tag === "Unscorable" && kinds.includes(verdict.kind) ? `is unscorable: ${verdict.reason}` : undefined
    )
  return [
    never("gives one verdict per rollout", "miscounted"),
    never("never throws, fails or hangs", "threw", "failed", "timeout"),
    never("gives finite values", "not-a-number"),
    ofGroups(subject, "leaves the group as it was", ({ group }) =>
      Effect.gen(function* () {
        const before = contents(group)
        yield* subject.verdicts(group)
        return contents(group) === before ? undefined : "the reward wrote into the group that it was given"
      })
    ),
    ...(subject.claims.deterministic ? steadyLaws(subject) : [])
  ]
}

/** Ways to ask for the same verdicts. */
const steadyLaws = (subject: Subject): ReadonlyArray<Law> => {
  const { verdicts } = subject
  const same = (what: string, how: string, ask: Subject["verdicts"]) =>
    ofGroups(subject, what, ({ group }) =>
      Effect.gen(function* () {
        const once = yield* verdicts(group)
        const again = yield* ask(group)
        return firstFinding(once, (verdict, i) =>
          isSame(verdict, again[i])
            ? undefined
            : `rollout ${i} gets ${showVerdict(verdict)}, but ${showVerdict(again[i])} ${how}`
        )
      })
    )
  return [
    same("gives the same verdicts when asked again", "when asked again", verdicts),
    same("does not depend on the order of the group", "when the group stands in reverse", (group) =>
      Effect.map(verdicts({ ...group, rollouts: group.rollouts.toReversed() }), (given) => given.toReversed())
    ),
    same("does not depend on padding", "when its bytes are a view into a larger, padded array", (group) =>
      verdicts(padded(group))
    )
  ]
}

const isSame = (a: Verdict, b: Verdict): boolean => JSON.stringify(a) === JSON.stringify(b)

/** Everything of a group that could be written into. Generated rollouts keep their problem, so it is said once. */
const contents = ({ problem, rollouts }: ParsedGroup): string =>
  JSON.stringify([
    problem,
    rollouts.map(({ rollout, prediction }) => [{ ...rollout, problem: problem.id }, prediction])
  ])

/**
 * The same group with every array a view into a larger one, as rows of a batch are. Who reads `bytes.buffer` reads the
 * neighbours too.
 */
const padded = ({ problem, rollouts }: ParsedGroup): ParsedGroup => {
  const { document, continuation } = problem
  const wide = {
    ...problem,
    document: { ...document, tokens: inInts(document.tokens) },
    continuation: { ...continuation, bytes: inBytes(continuation.bytes) }
  }
  return {
    problem: wide,
    rollouts: rollouts.map(({ rollout, prediction }) => ({
      rollout: {
        ...rollout,
        problem: wide,
        completion: { ...rollout.completion, tokens: inInts(rollout.completion.tokens) },
        behaviourLogprobs: behaviourLogprobs(inFloats(rollout.behaviourLogprobs)),
        bytes: inBytes(rollout.bytes)
      },
      prediction: prediction.outcome === "answered" ? { ...prediction, bytes: inBytes(prediction.bytes) } : prediction
    }))
  }
}

const margin = 8

const inBytes = (bytes: Uint8Array): Uint8Array => {
  const wide = new Uint8Array(bytes.length + 2 * margin).fill(0x61)
  wide.set(bytes, margin)
  return wide.subarray(margin, margin + bytes.length)
}

const inInts = (ints: Int32Array): Int32Array => {
  const wide = new Int32Array(ints.length + 2 * margin).fill(0x61)
  wide.set(ints, margin)
  return wide.subarray(margin, margin + ints.length)
}

const inFloats = (floats: Float32Array): Float32Array => {
  const wide = new Float32Array(floats.length + 2 * margin).fill(-1)
  wide.set(floats, margin)
  return wide.subarray(margin, margin + floats.length)
}
