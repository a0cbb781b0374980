import { Effect, Pull, Schema, Stream } from "effect"
import type { Scope } from "effect"
import type { CorpusError } from "../data/CorpusError.ts"
import type { Entropy } from "../data/Difficulty.ts"
import { entropy } from "../data/Difficulty.ts"
import type { TokenizedDocument } from "../data/NextToken.ts"
import type { NothingEligible, Problems } from "../data/Problems.ts"
import { noneHardEnough, problemsOf, trunks } from "../data/Problems.ts"
import type { HostScores, Scorer } from "../model/Scorer.ts"
import type { WeightsOf } from "../model/Transformer.ts"
import { packTrunk } from "../rl/Batch.ts"
import type { CompileError, ExecutionError, Value } from "../tensor/Backend.ts"
import type { Unit } from "./messages.ts"
import { trunkMultiple } from "./packRequest.ts"
import type { RunContext } from "./RunContext.ts"

export type ProblemError = CorpusError | NothingEligible | CompileError | ExecutionError

/** How many documents were passed over so far, and why. */
export interface Skipped {
  /** Not longer than the minimum context. */
  readonly tooShort: number
  /** No position passes the filter. */
  readonly tooEasy: number
}

/** Where the problem stream goes on: plain data, so that a checkpoint can hold it. All of it counts from 0. */
export const Position = Schema.Struct({
  /** Index of the unit that comes next. */
  unit: Schema.Int,
  epoch: Schema.Int,
  /** Trunks of the epoch before those that were last read together. */
  trunks: Schema.Int,
  /** Of the documents with problems among those: how many were given. */
  given: Schema.Int,
  /** Whether the epoch had any problem before those. */
  found: Schema.Boolean,
  /** Before the epoch. */
  tooShort: Schema.Int,
  /** Before those trunks. */
  tooEasy: Schema.Int
})
export type Position = typeof Position.Type

export const beginning: Position = {
  unit: 0,
  epoch: 0,
  trunks: 0,
  given: 0,
  found: false,
  tooShort: 0,
  tooEasy: 0
}

/** Units one after another, epoch after epoch, without end. */
export interface ProblemSource {
  readonly next: Effect.Effect<Unit, ProblemError>
  /** After the unit that was given last: a source that begins there gives what this one gives next. */
  readonly position: () => Position
  readonly skipped: () => Skipped
}

/** Documents that were read together, and where that was. */
interface Found {
  readonly documents: Unit["documents"]
  readonly at: Omit<Position, "unit" | "given">
}

interface Waiting {
  readonly document: Unit["documents"][number]
  /** The position behind it, apart from the unit. */
  readonly after: Omit<Position, "unit">
}

export interface ProblemSourceOptions {
  readonly context: RunContext
  readonly problems: Problems
  /** The model whose entropies filter: fixed, so that the problems of a run do not depend on what it learns. */
  readonly scorer: Scorer
  readonly weights: WeightsOf<Value>
  readonly documentsPerUnit: number
  readonly shuffleBuffer: number
  readonly from: Position
}

/**
 * One trunk pass per document tells which of its positions are hard enough to be asked. The first problems are looked for
 * at once: a corpus that cannot be read, or in which there is nothing to ask, fails here.
 */
export const makeProblemSource = (
  options: ProblemSourceOptions
): Effect.Effect<ProblemSource, ProblemError, Scope.Scope> =>
  Effect.gen(function* () {
    const { context, problems, documentsPerUnit, shuffleBuffer, from } = options
    const { seed, tokenizer } = context
    const skipped = { tooShort: from.tooShort, tooEasy: from.tooEasy }

    const ask = Effect.fnUntraced(function* (documents: ReadonlyArray<TokenizedDocument>, epoch: number) {
      const all = yield* entropiesOf(options, documents)
      const asked = documents.map((document, d) =>
        problemsOf(tokenizer, document, all[d], problems.settings, { seed, epoch })
      )
      const hard = asked.filter((own) => own.length > 0)
      skipped.tooEasy += asked.length - hard.length
      return hard.map((problems) => ({ epoch, problems }))
    })

    const epochOf = (epoch: number) =>
      Stream.suspend(() => {
        const begun = epoch === from.epoch ? from : beginning
        const { tooShort } = skipped
        let { found } = begun
        let trunksBefore = begun.trunks
        const read = Effect.fnUntraced(function* (group: ReadonlyArray<TokenizedDocument>) {
          const at = { epoch, trunks: trunksBefore, found, tooShort, tooEasy: skipped.tooEasy }
          const documents = yield* ask(group, epoch)
          trunksBefore += group.length
          found ||= documents.length > 0
          return { documents, at } satisfies Found
        })
        const groups = trunks(problems, tokenizer, { seed, epoch, shuffleBuffer, from: 0 }).pipe(
          Stream.flatMap((trunk) => {
            if (trunk._tag === "Trunk") return Stream.succeed(trunk.document)
            skipped.tooShort++
            return Stream.empty
          }),
          Stream.drop(begun.trunks),
          Stream.grouped(documentsPerUnit),
          Stream.mapEffect(read)
        )
        const documents = groups.pipe(
          Stream.flatMap(({ documents, at }) =>
            Stream.fromIterable(documents.map((document, i): Waiting => ({ document, after: { ...at, given: i + 1 } })))
          ),
          Stream.drop(begun.given)
        )
        const nothing = Stream.suspend(() =>
          found ? Stream.empty : Stream.fail(noneHardEnough(problems, trunksBefore))
        )
        return Stream.concat(documents, nothing)
      })

    const pull = yield* Stream.iterate(from.epoch, (epoch) => epoch + 1).pipe(Stream.flatMap(epochOf), Stream.toPull)
    let waiting: ReadonlyArray<Waiting> = []
    let position = from

    const fill = Effect.gen(function* () {
      while (waiting.length < documentsPerUnit) waiting = [...waiting, ...(yield* pull)]
    }).pipe(Pull.catchDone(() => Effect.die("an endless stream of epochs has ended")))

    const next = Effect.gen(function* () {
      yield* fill
      const taken = waiting.slice(0, documentsPerUnit)
      waiting = waiting.slice(documentsPerUnit)
      const index = position.unit
      position = { ...taken[taken.length - 1].after, unit: index + 1 }
      return { index, documents: taken.map(({ document }) => document) }
    })

    yield* fill
    return { next, position: () => position, skipped: () => ({ ...skipped }) }
  })

/** Entropy at every position of every document, [documents][tokens]; NaN where no token precedes it. */
export const entropiesOf = Effect.fnUntraced(function* (
  options: Pick<ProblemSourceOptions, "context" | "scorer" | "weights"> & {
    readonly problems: { readonly settings: { readonly entropy: Entropy } }
  },
  documents: ReadonlyArray<TokenizedDocument>
) {
  const { head } = options.context.frame
  const rows = packTrunk(head, documents, { multiple: trunkMultiple })
  const scores = yield* options.scorer.score(options.weights, rows)
  return documents.map(({ tokens }, d) =>
    Float64Array.from(tokens, (_, i) => {
      const predictedAt = head.length + i - 1
      return predictedAt < 0 ? NaN : entropyAt(scores, d * rows.length + predictedAt, options.problems.settings.entropy)
    })
  )
})

/** The entropy of one position of some scores. Top-k is at most the k that the scores hold. */
const entropyAt = (scores: HostScores, position: number, kind: Entropy): number =>
  kind._tag === "Full"
    ? scores.entropy[position]
    : entropy(scores.top.subarray(position * scores.topSize, (position + 1) * scores.topSize), kind)
