import { Evaluator as Evaluators, Synthetic } from "@foretoken/core"
import type { Evaluator, RunContext } from "@foretoken/core"

/** Tokens of the true continuation that a prediction may cover. */
export const horizon = 8
const minimumContext = 8

export const testDocuments = (seed: number, split: Synthetic.Split, count: number) =>
  Array.from({ length: count }, (_, index) => Synthetic.document({ seed, split, index }))

/** Marks the positions of documents that are asked about as a whole: tables by entropy count these. */
export const whole = "whole"
/** Marks every position above 1.5 nats, in all documents: there are few of them, and they matter most. */
export const hard = "hard"
const hardAbove = 1.5

/** What is asked of a held-out document: all of its positions, or those that are hard or take hidden computation. */
export const positionsOf = (
  context: RunContext,
  document: Synthetic.SyntheticDocument,
  entropies: Float64Array,
  asWhole: boolean
): Evaluator.HeldOut => {
  const moves = new Map(document.computed.map((computed) => [computed.position, computed.moves]))
  const anchors = Array.from(document.tokens, (_, i) => i).slice(minimumContext)
  const asked = anchors.filter((anchor) => asWhole || entropies[anchor] > hardAbove || moves.has(anchor))
  return Evaluators.heldOutAt(context, document, asked, horizon, (anchor) => {
    const count = moves.get(anchor)
    const kind = count === undefined ? [document.roles[anchor]] : ["computed", `computed, ${count} moves`]
    const marks = [...(asWhole ? [whole] : []), ...(entropies[anchor] > hardAbove ? [hard] : [])]
    return { entropy: entropies[anchor], tags: [...kind, ...marks] }
  })
}

/** The computed tokens of documents: what the validation curve measures. */
export const computedPositions = (
  context: RunContext,
  documents: ReadonlyArray<Synthetic.SyntheticDocument>
): ReadonlyArray<Evaluator.HeldOut> =>
  documents.map((document) =>
    Evaluators.heldOutAt(
      context,
      document,
      document.computed.map(({ position }) => position),
      horizon,
      () => ({ entropy: NaN, tags: ["computed"] })
    )
  )
