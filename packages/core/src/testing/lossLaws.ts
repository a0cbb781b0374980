import { Effect } from "effect"
import * as fc from "fast-check"
import { type LossCase, lossCase, type LossToken } from "./arbitraries/batch.ts"
import { type Finding, type Law, law, type LawSettings } from "./Law.ts"
import { countsOf, evaluate, type Evaluation, type PerToken, slopes, type TestedLoss } from "./lossLaws/evaluate.ts"
import { showLossCase } from "./lossLaws/show.ts"

/**
 * What holds of every policy loss: however a batch is cut, padded and ordered, the gradient of a token stays the same, and
 * on policy it is that of the plain policy gradient.
 *
 * @example
 * const clipped = Loss.clipped({ low: 0.2, high: 0.28 })
 * const of: TestedLoss["of"] = (batch, logprobs, { tokens }) => Loss.reference(clipped, batch, logprobs, tokens)
 * for (const { name, check } of laws.loss({ name: "clipped", meanOver: "tokens", of })) test(name, check)
 */
export const lossLaws = (loss: TestedLoss, settings: LawSettings = {}): ReadonlyArray<Law> => {
  /** The law that `examine` finds nothing wrong with any batch under any `twist`. */
  const twisted = <T>(what: string, twist: fc.Arbitrary<T>, examine: (groups: LossCase, twist: T) => Finding) =>
    law(
      `${loss.name} ${what}`,
      fc.record({ groups: lossCase, twist }),
      ({ groups, twist }) => Effect.sync(() => examine(groups, twist)),
      { ...settings, show: ({ groups }) => showLossCase(groups, evaluate(loss, groups)) }
    )
  const plain = (what: string, examine: (groups: LossCase) => Finding) => twisted(what, fc.constant(0), examine)
  const compared = (groups: LossCase, how: string, other: Pick<Evaluation, "value" | "gradient">) =>
    differs(evaluate(loss, groups), how, other)

  return [
    plain("gives a finite value and gradient", (groups) => {
      const { value, gradient } = evaluate(loss, groups)
      if (!Number.isFinite(value)) return `the loss is ${value}`
      return ofTokens(gradient, (g) => (Number.isFinite(g) ? undefined : `has the gradient ${g}`))
    }),
    plain("has the gradient that finite differences find", (groups) => {
      const found = slopes(loss, groups)
      return ofTokens(evaluate(loss, groups).gradient, (g, [d, b, i]) => {
        const slope = found[d][b][i]
        const agrees = Number.isNaN(slope) || Math.abs(slope - g) <= 1e-3 * (1 + Math.abs(slope))
        return agrees ? undefined : `has the gradient ${round(g)}, and finite differences find ${round(slope)}`
      })
    }),
    twisted("reads nothing off the completions", fc.constantFrom(-2, -1e30, -Infinity, NaN), (groups, garbage) => {
      const other = evaluate(loss, groups, { garbage })
      const how = `with log-probabilities of ${garbage} on the tail and the padding`
      if (other.offCompletions !== 0) return `${how}, these have a gradient of ${other.offCompletions}`
      return compared(groups, how, other)
    }),
    twisted("does not depend on padding", widths, (groups, wider) => {
      const padding = {
        documents: groups.length + wider.documents,
        branches: 3 + wider.branches,
        branchLength: 6 + wider.length
      }
      const how = `padded to ${padding.documents} documents of ${padding.branches} rows of ${padding.branchLength} tokens`
      return compared(groups, how, evaluate(loss, groups, { padding }))
    }),
    plain("counts a token whatever its id", (groups) =>
      compared(
        groups,
        "with 7 added to every token id",
        evaluate(
          loss,
          tokenwise(groups, (token) => ({ ...token, id: token.id + 7 }))
        )
      )
    ),
    plain("does not depend on the order of the batch", (groups) => {
      const { value, gradient } = evaluate(loss, reversed(groups))
      return compared(groups, "with groups and rollouts in reverse", { value, gradient: reversed(gradient) })
    }),
    twisted("adds up over micro-batches", fc.nat(7), (groups, at) => {
      const [first, second] = cut(groups, 1 + at)
      const parts = [first, second].map((part) => evaluate(loss, part, { whole: countsOf(groups) }))
      const joined = {
        value: parts[0].value + parts[1].value,
        gradient: groups.map((_, d) => parts.flatMap(({ gradient }) => gradient[d]))
      }
      const counts = [first, second].map((part) => countsOf(part).rollouts).join(" and ")
      return compared(groups, `cut into micro-batches of ${counts} rollouts`, joined)
    }),
    plain("on policy, where every ratio is 1, is the policy gradient", (groups) => {
      const { gradient } = evaluate(
        loss,
        tokenwise(groups, (token) => ({ ...token, change: 0 }))
      )
      const { tokens, rollouts } = countsOf(groups)
      return ofTokens(gradient, (g, [d, b]) => {
        const { advantage, tokens: own } = groups[d][b]
        const perToken = loss.meanOver === "tokens"
        const expected = -advantage / (perToken ? tokens : rollouts * own.length)
        const formula = perToken ? `-A / (${tokens} tokens)` : `-A / (${rollouts} rollouts · ${own.length} tokens)`
        return near(g, expected)
          ? undefined
          : `has the gradient ${round(g)} where p = q, and ${formula} = ${round(expected)} was expected`
      })
    })
  ]
}

const widths = fc.record({ documents: fc.nat(2), branches: fc.nat(2), length: fc.nat(4) })

const tokenwise = (groups: LossCase, change: (token: LossToken) => LossToken): LossCase =>
  groups.map((rows) => rows.map((row) => ({ ...row, tokens: row.tokens.map(change) })))

const reversed = <A>(groups: ReadonlyArray<ReadonlyArray<A>>): ReadonlyArray<ReadonlyArray<A>> =>
  groups.toReversed().map((rows) => rows.toReversed())

/** The first `count` rollouts and the others; a group may well be divided, and either part may be empty. */
const cut = (groups: LossCase, count: number): readonly [LossCase, LossCase] => {
  const part = (inside: (i: number) => boolean) => {
    let i = 0
    return groups.map((rows) => rows.filter(() => inside(i++)))
  }
  return [part((i) => i < count), part((i) => i >= count)]
}

/** The first thing that is wrong with a token, by its place: group, rollout, token. */
const ofTokens = (
  values: PerToken,
  examine: (value: number, place: readonly [d: number, b: number, i: number]) => Finding
): Finding => {
  for (const [d, rows] of values.entries()) {
    for (const [b, row] of rows.entries()) {
      for (const [i, value] of row.entries()) {
        const finding = examine(value, [d, b, i])
        if (finding !== undefined) return `token ${i} of rollout ${d}.${b} ${finding}`
      }
    }
  }
  return undefined
}

const differs = (before: Evaluation, how: string, after: Pick<Evaluation, "value" | "gradient">): Finding => {
  const finding = ofTokens(before.gradient, (g, [d, b, i]) => {
    const other = after.gradient[d][b][i]
    return near(g, other) ? undefined : `has the gradient ${round(g)}, but ${round(other)} ${how}`
  })
  if (finding !== undefined) return finding
  return near(before.value, after.value)
    ? undefined
    : `the loss is ${round(before.value)}, but ${round(after.value)} ${how}`
}

/** Equal up to rounding (and up to the error of finite differences); two kinks are equal. */
const near = (a: number, b: number): boolean => Object.is(a, b) || Math.abs(a - b) <= 1e-5 * (1 + Math.abs(a))

const round = (x: number): string => String(Number(x.toPrecision(5)))
