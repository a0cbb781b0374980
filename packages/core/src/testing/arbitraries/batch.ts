import * as fc from "fast-check"
import { utf8 } from "../../prompt/bytes.ts"
import { scored } from "../../reward/Verdict.ts"
import type { AdvantagedGroup } from "../../rl/Group.ts"
import { behaviourLogprobs } from "../../rl/Rollout.ts"
import { atLeast } from "./document.ts"
import { policyVersion, reward } from "./group.ts"

/** A rollout as a loss sees it, of at least one token. */
export interface LossRow {
  readonly advantage: number
  readonly tokens: ReadonlyArray<LossToken>
}

/** `behaviour` is log q (nats), `change` is log p - log q: what has become of the token since it was sampled. */
export interface LossToken {
  readonly id: number
  readonly behaviour: number
  readonly change: number
}

/** Groups of rollouts, each group about a document of its own: what one update learns from. */
export type LossCase = ReadonlyArray<ReadonlyArray<LossRow>>

/** The id that batches are padded with. Generated completions have it too: vocabularies without a pad token use eos. */
export const padToken = 0

const token: fc.Arbitrary<LossToken> = fc.record({
  id: fc.nat(3),
  // On a grid that f32 holds, so that a batch and its definition see the same numbers.
  behaviour: fc.nat(48).map((eighths) => -1 - eighths / 8),
  change: fc.integer({ min: -16, max: 16 }).map((sixteenths) => sixteenths / 16)
})

const row: fc.Arbitrary<LossRow> = fc.record({
  advantage: reward,
  tokens: atLeast(1, token, 5)
})

export const lossCase: fc.Arbitrary<LossCase> = atLeast(1, atLeast(1, row, 3), 3)

/** The groups as an optimizer gets them. Document and problem `d` belong to group number d. */
export const advantagedGroups = (groups: LossCase): ReadonlyArray<AdvantagedGroup> =>
  groups.map((rows, d) => {
    const problem = {
      id: `d${d}@1`,
      document: { id: `d${d}`, tokens: Int32Array.of(1, 2) },
      anchor: 1,
      continuation: { bytes: utf8("x"), boundaries: [1] }
    }
    const rollouts = rows.map(({ advantage, tokens }, index) => ({
      rollout: {
        id: `${problem.id}/${index}`,
        problem,
        index,
        policyVersion,
        completion: { tokens: Int32Array.from(tokens, ({ id }) => id), ended: "stop" as const },
        behaviourLogprobs: behaviourLogprobs(Float32Array.from(tokens, ({ behaviour }) => behaviour)),
        temperature: 1,
        bytes: Uint8Array.from(tokens, ({ id }) => id)
      },
      prediction: { outcome: "truncated" as const },
      verdict: scored(advantage, {}),
      advantage
    }))
    return { problem, excluded: 0, rollouts }
  })
