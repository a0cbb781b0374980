import { draw, Evaluator as Evaluators, Synthetic } from "@foretoken/core"
import type { Evaluator, RunContext } from "@foretoken/core"

/** Tokens of the true continuation that a prediction may cover. */
export const horizon = 8
const minimumContext = 8
const easyBelow = 0.5

export const testDocuments = (seed: number, split: Synthetic.Split, count: number) =>
  Array.from({ length: count }, (_, index) => Synthetic.document({ seed, split, index }))

/** Marks the positions that stand for the text as a whole: tables by entropy count these only. */
export const representative = "representative"

/**
 * What is asked of a held-out document: every position whose entropy under the base model exceeds 0.5 nats and a draw of
 * the easier ones, which together represent the text; and every other token that takes hidden computation.
 */
export const positionsOf = (
  context: RunContext,
  document: Synthetic.SyntheticDocument,
  entropies: Float64Array,
  easyPositions: number
): Evaluator.HeldOut => {
  const moves = new Map(document.computed.map((computed) => [computed.position, computed.moves]))
  const anchors = Array.from(document.tokens, (_, i) => i).slice(minimumContext)
  const easy = anchors.filter((anchor) => entropies[anchor] <= easyBelow)
  const order = draw.permutation(context.seed, ["evaluation", document.id], easy.length)
  const drawn = new Set(Array.from(order.subarray(0, easyPositions), (i) => easy[i]))
  const represents = (anchor: number) => entropies[anchor] > easyBelow || drawn.has(anchor)
  const asked = anchors.filter((anchor) => represents(anchor) || moves.has(anchor))
  return Evaluators.heldOutAt(context, document, asked, horizon, (anchor) => {
    const count = moves.get(anchor)
    const kind = count === undefined ? [document.roles[anchor]] : ["computed", `computed, ${count} moves`]
    return { entropy: entropies[anchor], tags: represents(anchor) ? [...kind, representative] : kind }
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
