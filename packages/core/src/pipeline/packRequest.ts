import type { Problem } from "../data/NextToken.ts"
import type { Request } from "../model/Generator.ts"
import { packTrunk } from "../rl/Batch.ts"
import type { RunContext } from "./RunContext.ts"

/** Trunk lengths are rounded up to this, so that few shapes are compiled. */
export const trunkMultiple = 16

/**
 * Problems of some documents as a request for completions: K = `positions` anchors a document (missing ones look at
 * nothing and their completions are not read), G rollouts each, with the draws that belong to (problem, rollout).
 */
export const packRequest = (
  { frame }: Pick<RunContext, "frame">,
  { groupSize, maxTokens }: { readonly groupSize: number; readonly maxTokens: number },
  problems: ReadonlyArray<ReadonlyArray<Problem>>,
  positions: number,
  draws: (problem: Problem, rollout: number) => Float32Array
): Request => {
  const documents = problems.map(([{ document }]) => document)
  const ends = problems.map((own) => Math.max(...own.map(({ anchor }) => anchor)))
  const rows = problems.length * positions * groupSize
  const anchors = new Int32Array(problems.length * positions)
  const uniforms = new Float32Array(maxTokens * rows)
  problems.forEach((own, d) =>
    own.forEach((problem, k) => {
      anchors[d * positions + k] = frame.head.length + problem.anchor
      for (let g = 0; g < groupSize; g++) {
        const row = (d * positions + k) * groupSize + g
        draws(problem, g).forEach((draw, i) => (uniforms[i * rows + row] = draw))
      }
    })
  )
  const trunk = packTrunk(frame.head, documents, { multiple: trunkMultiple }, ends)
  return { trunk, positions, anchors, tail: frame.tail, uniforms }
}
