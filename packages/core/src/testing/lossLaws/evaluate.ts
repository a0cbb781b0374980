/** A loss evaluated on generated rollouts, with its gradient put back to the tokens that it belongs to. */
import { type Batch, pack, type Padding } from "../../rl/Batch.ts"
import { type Current, currentLogprobs } from "../../rl/Logprobs.ts"
import { advantagedGroups, type LossCase } from "../arbitraries/batch.ts"

/** A policy loss on plain arrays. */
export interface TestedLoss {
  readonly name: string
  /** What it is a mean over: all tokens of the batch alike, or all rollouts, each sharing its weight among its tokens. */
  readonly meanOver: "tokens" | "rollouts"
  /**
   * @param batch one micro-batch (rl/Batch.ts)
   * @param logprobs [D, B, L] nats under the current policy; anything, NaN too, off the completions
   * @param whole counts of the whole batch, which `batch` may be a part of: what the mean is over
   */
  readonly of: (batch: Batch, logprobs: Current<Float64Array>, whole: Whole) => LossValue
}

export interface Whole {
  readonly tokens: number
  readonly rollouts: number
}

export interface LossValue {
  readonly value: number
  /** [D, B, L] d value / d logprobs. Without one, finite differences take its place. */
  readonly gradient?: ArrayLike<number>
}

/** One number per completion token: [group][rollout][token]. */
export type PerToken = ReadonlyArray<ReadonlyArray<ReadonlyArray<number>>>

export interface Evaluation {
  readonly value: number
  readonly gradient: PerToken
  /** Largest magnitude of the gradient off the completions. */
  readonly offCompletions: number
}

export interface Circumstances {
  /** What the current policy says off the completions. */
  readonly garbage?: number
  readonly padding?: Padding
  /** Where the groups are a part of a larger batch. */
  readonly whole?: Whole
}

export const evaluate = (loss: TestedLoss, groups: LossCase, circumstances: Circumstances = {}): Evaluation => {
  const { batch, logprobs, whole, perToken } = arranged(groups, circumstances)
  const { value, gradient } = loss.of(batch, logprobs, whole)
  if (gradient === undefined) return { value, gradient: slopes(loss, groups, circumstances), offCompletions: 0 }
  const off = Array.from(gradient).filter((_, i) => batch.branches.mask[i] === 0)
  const offCompletions = off.reduce((most, g) => (Math.abs(g) <= most ? most : Math.abs(g)), 0)
  return { value, gradient: perToken((at) => gradient[at]), offCompletions }
}

/** The gradient by finite differences; NaN at a kink, where there is none, as where clipping sets in. */
export const slopes = (loss: TestedLoss, groups: LossCase, circumstances: Circumstances = {}): PerToken => {
  const { batch, logprobs, whole, perToken } = arranged(groups, circumstances)
  const step = 1e-5
  const valueAt = (at: number, change: number) =>
    loss.of(batch, currentLogprobs(logprobs.with(at, logprobs[at] + change)), whole).value
  return perToken((at) => {
    const [before, here, after] = [valueAt(at, -step), valueAt(at, 0), valueAt(at, step)]
    const [left, right] = [(here - before) / step, (after - here) / step]
    return Math.abs(left - right) > 1e-3 * (1 + Math.abs(left)) ? NaN : (left + right) / 2
  })
}

export const countsOf = (groups: LossCase): Whole => ({
  tokens: groups.flat().reduce((sum, { tokens }) => sum + tokens.length, 0),
  rollouts: groups.flat().length
})

/** The arrays that a loss takes, and what stands in them for every completion token. */
const arranged = (groups: LossCase, { garbage = -1, padding = {}, whole = countsOf(groups) }: Circumstances) => {
  const batch = pack({ head: new Int32Array(0), tail: Int32Array.of(1) }, advantagedGroups(groups), padding)
  const { branches: B, length: L, tailLength } = batch.branches
  const perToken = (f: (at: number) => number): PerToken =>
    groups.map((rows, d) => rows.map(({ tokens }, b) => tokens.map((_, i) => f((d * B + b) * L + tailLength + i))))
  const logprobs = new Float64Array(batch.branches.tokens.length).fill(garbage)
  const places = perToken((at) => at)
  groups.forEach((rows, d) =>
    rows.forEach(({ tokens }, b) =>
      tokens.forEach(({ behaviour, change }, i) => {
        logprobs[places[d][b][i]] = behaviour + change
      })
    )
  )
  return { batch, logprobs: currentLogprobs(logprobs), whole, perToken }
}
