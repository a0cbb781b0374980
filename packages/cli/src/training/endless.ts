/** Training data as streams that never end: epoch after epoch, each in an order that follows from seed and epoch. */
import { Corpus, Problems } from "@foretoken/core"
import type { NextToken, Tokenizer } from "@foretoken/core"
import * as Effect from "effect/Effect"
import * as Pull from "effect/Pull"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"

/** `epoch` over and over. */
export const endless = <A, E, R>(epoch: (number: number) => Stream.Stream<A, E, R>): Stream.Stream<A, E, R> =>
  Stream.iterate(0, (number) => number + 1).pipe(Stream.flatMap(epoch))

/** What is read in epoch `epoch`. Documents are shuffled 256 at a time. */
export const epochOptions = (seed: number, epoch: number) => ({ seed, epoch, shuffleBuffer: 256, from: 0 })

/** The documents of a corpus as tokens, cut into windows of at most `maxTokens`. Those of one token teach nothing. */
export const endlessWindows = (
  corpus: Corpus.Corpus,
  tokenizer: Tokenizer.Tokenizer,
  { maxTokens, seed }: { readonly maxTokens: number; readonly seed: number }
): Stream.Stream<NextToken.TokenizedDocument, Corpus.CorpusError | Problems.NothingEligible> => {
  const problems = corpus.pipe(Corpus.nextToken({ minEntropy: 0, minimumContext: 1, maxTokens }))
  return endless((epoch) => Problems.trunks(problems, tokenizer, epochOptions(seed, epoch))).pipe(
    Stream.flatMap((trunk) => (trunk._tag === "Trunk" ? Stream.succeed(trunk.document) : Stream.empty))
  )
}

/**
 * Takes a stream that does not end `count` elements at a time: the group of that number, from 0. Groups are asked for in ascending
 * order; those before the first are passed over. Not by Stream.grouped, which would give an incomplete group before it fails.
 */
export const taker = <A, E>(
  stream: Stream.Stream<A, E>,
  count: number
): Effect.Effect<(group: number) => Effect.Effect<ReadonlyArray<A>, E>, never, Scope.Scope> =>
  Effect.map(Stream.toPull(stream), (pull) => {
    let waiting: ReadonlyArray<A> = []
    let taken = 0
    const next = Effect.gen(function* () {
      while (waiting.length < count) waiting = [...waiting, ...(yield* pull)]
      const group = waiting.slice(0, count)
      waiting = waiting.slice(count)
      taken++
      return group
    }).pipe(Pull.catchDone(() => Effect.die("an endless stream has ended")))
    return Effect.fnUntraced(function* (group: number) {
      for (let before = taken; before < group; before++) yield* next
      return yield* next
    })
  })
