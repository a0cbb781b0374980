/** How held-out text is answered: the handlers of an evaluator. */
import { Effect } from "effect"
import type { Scope } from "effect"
import type { Handlers, Payload } from "../actor/Protocol.ts"
import type { Sampling } from "../model/generate.ts"
import { makeGenerator } from "../model/Generator.ts"
import { makeScorer } from "../model/Scorer.ts"
import { parse } from "../prompt/Template.ts"
import { matchesPrefix } from "../reward/prefixMatch.ts"
import { rolloutUniforms } from "../random/draw.ts"
import { packTrunk } from "../rl/Batch.ts"
import type { Backend } from "../tensor/Backend.ts"
import { makeBoundedProgramCache, programsKept } from "../tensor/ProgramCache.ts"
import type { EvaluatorProtocol, HeldOutPosition, ReasonedRecord } from "./evaluatorProtocol.ts"
import { packRequest, trunkMultiple } from "./packRequest.ts"
import { entropiesOf } from "./ProblemSource.ts"
import { makeResident } from "./residentWeights.ts"
import type { RunContext } from "./RunContext.ts"

export interface EvaluationOptions {
  readonly context: RunContext
  readonly maxTokens: number
  readonly sampling: Sampling
  readonly documentsPerBatch: number
}

export const makeEvaluation = ({
  context,
  maxTokens,
  sampling,
  documentsPerBatch
}: EvaluationOptions): Effect.Effect<Handlers<EvaluatorProtocol>, never, Backend | Scope.Scope> =>
  Effect.gen(function* () {
    const { config, frame, seed, stop, template, tokenizer } = context
    const programs = yield* makeBoundedProgramCache(programsKept.sampling)
    const scorer = yield* makeScorer(config, programs)
    const generator = yield* makeGenerator(config, { groupSize: 1, maxTokens, sampling, stop }, programs)
    const resident = yield* makeResident

    const entropies = Effect.fnUntraced(function* ({ weights: asked, documents, entropy }: Entropies) {
      const weights = yield* resident.hold(asked, asked)
      return yield* entropiesOf({ context, scorer, weights, problems: { settings: { entropy } } }, documents)
    })

    const direct = Effect.fnUntraced(function* ({ weights: asked, batch }: Question) {
      const weights = yield* resident.hold(asked, asked)
      const documents = batch.map(([{ problem }]) => problem.document)
      const rows = packTrunk(frame.head, documents, { multiple: trunkMultiple, documents: documentsPerBatch })
      const { argmax } = yield* scorer.score(weights, rows)
      return batch.flatMap((own, d) =>
        own.map((position) => {
          const { anchor, document } = position.problem
          const predicted = argmax[d * rows.length + frame.head.length + anchor - 1]
          return { ...recordOf(position), correct: predicted === document.tokens[anchor] }
        })
      )
    })

    const reasoned = Effect.fnUntraced(function* ({ weights: asked, batch }: Question) {
      const weights = yield* resident.hold(asked, asked)
      const problems = batch.map((own) => own.map(({ problem }) => problem))
      const positions = Math.max(...problems.map((own) => own.length))
      const request = packRequest(context, { groupSize: 1, maxTokens }, problems, positions, (problem) =>
        rolloutUniforms(seed, { problem: `evaluation/${problem.id}`, rollout: 0 }, maxTokens)
      )
      const completions = yield* generator.generate(weights, request)
      return batch.flatMap((own, d) =>
        own.map((position, k): ReasonedRecord => {
          const completion = tokenizer.bytesOf(completions[d * positions + k].tokens)
          const prediction = parse(template, completion)
          const correct =
            prediction.outcome === "answered" && matchesPrefix(prediction.bytes, position.problem.continuation)
          return { ...recordOf(position), correct, position, outcome: prediction.outcome, completion }
        })
      )
    })

    return { Entropies: entropies, Direct: direct, Reasoned: reasoned }
  })

type Question = Payload<EvaluatorProtocol, "Direct">
type Entropies = Payload<EvaluatorProtocol, "Entropies">

const recordOf = ({ problem, entropy, tags }: HeldOutPosition) => ({ documentId: problem.document.id, entropy, tags })
