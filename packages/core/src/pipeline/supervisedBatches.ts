import type { TokenizedDocument } from "../data/NextToken.ts"
import type { MicroBatch } from "../optim/gradientProgram.ts"
import type { Branch, Frame } from "../rl/Batch.ts"
import { packBranches, packTrunk } from "../rl/Batch.ts"
import type { Trunk } from "../rl/Batch.ts"
import { nextToken, supervised } from "../rl/objective.ts"
import { HostTensor } from "../tensor/HostTensor.ts"
import { trunkMultiple } from "./packRequest.ts"

/** A document and what is to be written at some of its positions: completions that begin after the template's tail. */
export interface Example {
  readonly document: TokenizedDocument
  readonly completions: ReadonlyArray<Branch>
}

/** Next-token prediction on whole documents, mean over all of their tokens. */
export const nextTokenBatch = (
  { head }: Pick<Frame, "head">,
  documents: ReadonlyArray<TokenizedDocument>
): MicroBatch => {
  const trunk = packTrunk(head, documents, { multiple: trunkMultiple })
  return {
    key: "next token",
    objective: nextToken,
    data: { trunk: trunkTensor(trunk), trunkWeights: targetWeights(trunk, head.length, 1) }
  }
}

/**
 * Completions as they should be, mean over their tokens, and the documents beside them as text to predict, mean over
 * theirs times `trunkWeight`.
 */
export const supervisedBatch = (frame: Frame, examples: ReadonlyArray<Example>, trunkWeight: number): MicroBatch => {
  const trunk = packTrunk(
    frame.head,
    examples.map(({ document }) => document),
    { multiple: trunkMultiple }
  )
  const branches = packBranches(
    frame,
    examples.map(({ completions }) => completions)
  )
  const shape = [branches.documents, branches.branches, branches.length]
  const tokens = branches.mask.reduce((sum, one) => sum + one, 0)
  return {
    key: "supervised",
    objective: supervised,
    data: {
      trunk: trunkTensor(trunk),
      trunkWeights: targetWeights(trunk, frame.head.length, trunkWeight),
      branches: HostTensor.i32(shape, branches.tokens),
      anchors: HostTensor.i32([branches.documents, branches.branches], branches.anchors),
      branchWeights: HostTensor.f32(
        shape,
        branches.mask.map((one) => one / tokens)
      )
    }
  }
}

const trunkTensor = ({ documents, length, tokens }: Trunk) => HostTensor.i32([documents, length], tokens)

/** `total` spread evenly over the document tokens that have something before them. */
const targetWeights = ({ documents, length, lengths }: Trunk, headLength: number, total: number) => {
  const first = Math.max(1, headLength)
  const targets = lengths.reduce((sum, own) => sum + Math.max(0, own - first), 0)
  const weights = new Float32Array(documents * length)
  lengths.forEach((own, d) => weights.fill(total / targets, d * length + first, d * length + Math.max(first, own)))
  return HostTensor.f32([documents, length], weights)
}
