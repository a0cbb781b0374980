/** What a policy loses before it begins: positions that cannot be won under a template. */
import { Corpus, NextToken, Problems, winnability } from "@foretoken/core"
import type { Template, Tokenizer, Winnability } from "@foretoken/core"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"

/** Over the positions behind the minimum context of the first documents of a corpus, whatever their entropy. */
export const corpusWinnability = (
  { corpus, settings }: Problems.Problems,
  tokenizer: Tokenizer.Tokenizer,
  template: Template.Template
): Effect.Effect<Winnability, Corpus.CorpusError> =>
  Corpus.documents(corpus).pipe(
    Stream.take(documentsRead),
    Stream.mapEffect((document) => Problems.trunksOf(tokenizer, document, settings)),
    Stream.flatMap((trunks) => Stream.fromIterable(trunks)),
    Stream.flatMap((trunk) => Stream.fromIterable(trunk._tag === "Trunk" ? anchorsOf(trunk.document, settings) : [])),
    Stream.take(positionsRead),
    Stream.map(({ document, anchor }) => NextToken.problemAt(tokenizer, document, anchor, settings.horizon)),
    Stream.runCollect,
    Effect.map((problems) => winnability(template, Array.from(problems)))
  )

const documentsRead = 64
const positionsRead = 4096

const anchorsOf = (document: NextToken.TokenizedDocument, { minimumContext }: NextToken.NextTokenSettings) =>
  Array.from(document.tokens.subarray(minimumContext), (_, i) => ({ document, anchor: minimumContext + i }))

/** "3.1 % of 4096 positions cannot be won under the template boxed (by the first token alone 7.2 %)" */
export const winnabilityLine = (
  { positions, unwinnable, firstTokenUnwinnable }: Winnability,
  template: string
): string => {
  const share = (count: number) => `${((100 * count) / Math.max(1, positions)).toFixed(1)} %`
  return (
    `${share(unwinnable)} of ${positions} positions cannot be won under the template ${template} ` +
    `(by the first token alone ${share(firstTokenUnwinnable)})`
  )
}
