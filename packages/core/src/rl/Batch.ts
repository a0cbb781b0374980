/**
 * Documents and what hangs on them, packed into padded arrays (design.md, "Trunk and branches").
 *
 *   trunk     [D, T]     template head + document, encoded once
 *   branches  [D, B, L]  template tail + completion, each at its anchor in the trunk
 *
 * Sampling packs branches of the bare tail, scoring packs no branches or given completions, training adds behaviour
 * log-probabilities and advantages. Rows are padded on the right. Masks come from lengths, never from token values.
 * Per-token arrays are aligned to the token itself: the model predicts the token at i of a branch at its position i - 1.
 */
import type { TokenizedDocument } from "../data/NextToken.ts"
import type { AdvantagedGroup } from "./Group.ts"
import { type BehaviourLogprobs, behaviourLogprobs, type Mask, maskOf } from "./Logprobs.ts"
import type { PolicyVersion } from "./Rollout.ts"

/** Tokens that every document of a batch shares: those of the template (and of the model's beginning of text). */
export interface Frame {
  readonly head: Int32Array
  /** At least one token: its last one predicts the first token of a completion. */
  readonly tail: Int32Array
}

export interface Trunk {
  readonly documents: number
  /** T */
  readonly length: number
  /** [D, T] */
  readonly tokens: Int32Array
  /** [D] head + document tokens before the padding. */
  readonly lengths: Int32Array
}

export interface Branches {
  readonly documents: number
  /** B; rows without a branch have length 0. */
  readonly branches: number
  /** L */
  readonly length: number
  readonly tailLength: number
  /** [D, B, L] */
  readonly tokens: Int32Array
  /** [D, B] position in the trunk: a branch sees trunk positions < anchor, its token i stands at anchor + i. */
  readonly anchors: Int32Array
  /** [D, B] tail + completion tokens before the padding. */
  readonly lengths: Int32Array
  /** [D, B, L] 1 on completion tokens, 0 on the tail and on padding. */
  readonly mask: Mask<Float32Array>
}

/** A completion (possibly of no tokens yet) that hangs on its document at `anchor`, an index into the document. */
export interface Branch {
  readonly anchor: number
  readonly completion: Int32Array
}

/** What one update learns from. */
export interface Batch {
  readonly trunk: Trunk
  readonly branches: Branches
  /** [D, B, L] nats, 0 off the completions. */
  readonly behaviourLogprobs: BehaviourLogprobs
  /** The temperature that all of them were sampled with: current log-probabilities have to be taken at the same. */
  readonly temperature: number
  /** Which policies they are of, each once, in the order of the batch. */
  readonly policyVersions: ReadonlyArray<PolicyVersion>
  /** [D, B], 0 on rows without a branch. */
  readonly advantages: Float32Array
  /** Completion tokens in the batch: the N of a token mean. */
  readonly tokenCount: number
}

/** Sizes to pad to, so that batches of different content share one compiled program. Content that is larger wins. */
export interface Padding {
  /** T is a `bucket` of steps of this, and at least `trunkLength`. */
  readonly multiple?: number
  readonly trunkLength?: number
  /** L is the tail and a `bucket` (so that completions of full length need no padding), and at least this. */
  readonly branchLength?: number
  /** B is at least this, e.g. K · G. */
  readonly branches?: number
  /** D is at least this. */
  readonly documents?: number
}

/**
 * n rounded up to a size that programs are compiled for: `step` times 1, 2, 3, 4, 6, 8, 12, 16, 24, … Less than a third of
 * it is padding, and there are two sizes to every doubling: each has a program of its own, with memory of its own.
 */
export const bucket = (n: number, step = 8): number => {
  const steps = Math.ceil(n / step)
  const power = 2 ** Math.ceil(Math.log2(Math.max(1, steps)))
  return step * (steps <= 0.75 * power ? Math.ceil(0.75 * power) : power) * Math.sign(steps)
}

/** Packs head + document; each document up to `uptos[d]` tokens (all of it where there is none). */
export const packTrunk = (
  head: Int32Array,
  documents: ReadonlyArray<TokenizedDocument>,
  padding: Padding = {},
  uptos: ReadonlyArray<number> = []
): Trunk => {
  const rows = documents.map(({ tokens }, d) => tokens.subarray(0, uptos[d] ?? tokens.length))
  const D = Math.max(rows.length, padding.documents ?? 0)
  const longest = rows.reduce((length, row) => Math.max(length, head.length + row.length), 0)
  const T = bucket(Math.max(longest, padding.trunkLength ?? 1), padding.multiple)
  const tokens = new Int32Array(D * T)
  const lengths = new Int32Array(D)
  rows.forEach((row, d) => {
    tokens.set(head, d * T)
    tokens.set(row, d * T + head.length)
    lengths[d] = head.length + row.length
  })
  return { documents: D, length: T, tokens, lengths }
}

/** Packs tail + completion of every branch; `rows[d]` are the branches of document d. */
export const packBranches = (
  { head, tail }: Frame,
  rows: ReadonlyArray<ReadonlyArray<Branch>>,
  padding: Padding = {}
): Branches => {
  if (tail.length === 0) throw new RangeError("the template's tail has no tokens: nothing would predict a completion")
  const D = Math.max(rows.length, padding.documents ?? 0)
  const B = rows.reduce((count, row) => Math.max(count, row.length), padding.branches ?? 0)
  const completions = rows.flat().map(({ completion }) => completion.length)
  const longest = completions.reduce((a, b) => Math.max(a, b), 0)
  const L = Math.max(tail.length + bucket(longest, padding.multiple), padding.branchLength ?? 0)
  const tokens = new Int32Array(D * B * L)
  const anchors = new Int32Array(D * B)
  const lengths = new Int32Array(D * B)
  rows.forEach((row, d) =>
    row.forEach(({ anchor, completion }, b) => {
      const start = (d * B + b) * L
      tokens.set(tail, start)
      tokens.set(completion, start + tail.length)
      anchors[d * B + b] = head.length + anchor
      lengths[d * B + b] = tail.length + completion.length
    })
  )
  const mask = maskOf(lengths, L, tail.length)
  return { documents: D, branches: B, length: L, tailLength: tail.length, tokens, anchors, lengths, mask }
}

/**
 * Packs groups for an update. Groups of one document share its trunk, which ends at its last anchor; documents, and
 * the groups within each, keep the order in which they first come.
 */
export const pack = (frame: Frame, groups: ReadonlyArray<AdvantagedGroup>, padding: Padding = {}): Batch => {
  const documents = Map.groupBy(groups, ({ problem }) => problem.document.id)
  const ofDocument = [...documents.values()]
  const trunk = packTrunk(
    frame.head,
    ofDocument.map(([{ problem }]) => problem.document),
    padding,
    ofDocument.map((own) => Math.max(...own.map(({ problem }) => problem.anchor)))
  )
  const rollouts = ofDocument.map((own) => own.flatMap((group) => group.rollouts))
  const branches = packBranches(
    frame,
    rollouts.map((row) =>
      row.map(({ rollout }) => ({ anchor: rollout.problem.anchor, completion: rollout.completion.tokens }))
    ),
    padding
  )
  const all = rollouts.flat().map(({ rollout }) => rollout)
  const temperatures = [...new Set(all.map(({ temperature }) => temperature))]
  if (temperatures.length > 1) {
    throw new RangeError(`rollouts of temperatures ${temperatures.join(" and ")} cannot share a batch`)
  }
  const { branches: B, length: L, tailLength } = branches
  const logprobs = new Float32Array(branches.tokens.length)
  const advantages = new Float32Array(branches.anchors.length)
  let tokenCount = 0
  rollouts.forEach((row, d) =>
    row.forEach(({ rollout, advantage }, b) => {
      const length = rollout.completion.tokens.length
      if (rollout.behaviourLogprobs.length !== length) {
        throw new RangeError(
          `rollout ${rollout.id} has ${length} completion tokens and ${rollout.behaviourLogprobs.length} behaviour log-probabilities`
        )
      }
      logprobs.set(rollout.behaviourLogprobs, (d * B + b) * L + tailLength)
      advantages[d * B + b] = advantage
      tokenCount += length
    })
  )
  return {
    trunk,
    branches,
    behaviourLogprobs: behaviourLogprobs(logprobs),
    temperature: temperatures[0] ?? 1,
    policyVersions: [...new Set(all.map(({ policyVersion }) => policyVersion))],
    advantages,
    tokenCount
  }
}
