/**
 * Next-token problems: "what follows tokens[0 .. anchor)?", and which anchors of a document are worth asking.
 *
 * The lengths at which a prediction may end are cumulative byte lengths of the raw bytes of the tokens as they stand in
 * the document (L_gt of RPT, 2506.08007): tokens [c3][a9]["ab"] give {1, 2, 4}, where decoded strings would give
 * {2, 3, 4}.
 */
import { Schema } from "effect"
import * as draw from "../random/draw.ts"
import * as Difficulty from "./Difficulty.ts"
import type { Tokenizer } from "./Tokenizer.ts"

/** A document, or a window of one, as the model sees it: no bos, no template. */
export interface TokenizedDocument {
  readonly id: string
  readonly tokens: Int32Array
}

/** The true continuation from an anchor on, up to a horizon. */
export interface Continuation {
  readonly bytes: Uint8Array
  /** L_gt: ascending, each at least 1; the last is bytes.length. A token without bytes ends nowhere new. */
  readonly boundaries: ReadonlyArray<number>
}

/** "What follows tokens[0 .. anchor)?" The anchor is the index of the first token to predict, at least 1. */
export interface Problem {
  readonly id: string
  readonly document: TokenizedDocument
  readonly anchor: number
  readonly continuation: Continuation
}

/** Which positions are hard enough. */
export type Filter =
  /** Entropy of at least so many nats. */
  | { readonly _tag: "MinEntropy"; readonly nats: number }
  /** Entropy at or above this quantile (0 .. 1) of the document's own positions behind the minimum context. */
  | { readonly _tag: "Quantile"; readonly quantile: number }

export interface NextTokenSettings {
  readonly filter: Filter
  /** Which entropy the filter looks at. */
  readonly entropy: Difficulty.Entropy
  /** Tokens that must precede an anchor: the first tokens of a text look hard only because their context is cut off. */
  readonly minimumContext: number
  /** At most so many anchors per document (or window), chosen by a draw. */
  readonly positionsPerDocument: number
  /** Tokens of true continuation that a prediction may cover. */
  readonly horizon: number
  /** A longer document is cut into windows of so many tokens. */
  readonly maxTokens: number
}

/** Settings as a user writes them: one filter, the rest has defaults. */
export type NextTokenOptions = ({ readonly minEntropy: number } | { readonly quantile: number }) &
  Partial<Omit<NextTokenSettings, "filter">>

/** A setting out of range: which one, its value, what would be right. */
export class SettingsError extends Schema.TaggedError<SettingsError>()("SettingsError", {
  setting: Schema.String,
  problem: Schema.String
}) {
  override get message(): string {
    return `${this.setting}: ${this.problem}`
  }
}

/**
 * Defaults: entropy over the top 16, renormalised; 16 tokens of context; 8 positions; horizon 16; windows of 512.
 * Throws SettingsError.
 */
export function settings(options: NextTokenOptions): NextTokenSettings {
  const { entropy = Difficulty.top16, minimumContext = 16, positionsPerDocument = 8, horizon = 16 } = options
  const { maxTokens = 512 } = options
  const filter: Filter =
    "minEntropy" in options
      ? { _tag: "MinEntropy", nats: options.minEntropy }
      : { _tag: "Quantile", quantile: options.quantile }
  if (filter._tag === "MinEntropy") {
    check("minEntropy", filter.nats, filter.nats >= 0, "a number of nats, 0 or more")
  } else {
    check("quantile", filter.quantile, filter.quantile >= 0 && filter.quantile <= 1, "a share from 0 to 1")
  }
  const counts = { minimumContext, positionsPerDocument, horizon, maxTokens }
  for (const [name, value] of Object.entries(counts)) {
    check(name, value, Number.isSafeInteger(value) && value >= 1, "an integer of at least 1")
  }
  check("maxTokens", maxTokens, maxTokens > minimumContext, `more than minimumContext (${minimumContext})`)
  return { filter, entropy, minimumContext, positionsPerDocument, horizon, maxTokens }
}

function check(setting: string, value: number, holds: boolean, right: string): void {
  if (!holds) throw new SettingsError({ setting, problem: `${value} given; ${right} was expected` })
}

/** The problem at one anchor. Throws RangeError unless 1 <= anchor < tokens.length. */
export function problemAt(tokenizer: Tokenizer, document: TokenizedDocument, anchor: number, horizon: number): Problem {
  const { id, tokens } = document
  if (!Number.isInteger(anchor) || anchor < 1 || anchor >= tokens.length) {
    throw new RangeError(`anchor ${anchor} of ${id} is not inside its ${tokens.length} tokens`)
  }
  return {
    id: `${id}@${anchor}`,
    document,
    anchor,
    continuation: continuation(Array.from(tokens.subarray(anchor, anchor + horizon), tokenizer.bytes))
  }
}

/** The continuation that consists of these tokens' raw bytes. */
export function continuation(tokens: ReadonlyArray<Uint8Array>): Continuation {
  const boundaries: Array<number> = []
  let length = 0
  for (const token of tokens) {
    length += token.length
    if (token.length > 0) boundaries.push(length)
  }
  const bytes = new Uint8Array(length)
  let offset = 0
  for (const token of tokens) {
    bytes.set(token, offset)
    offset += token.length
  }
  return { bytes, boundaries }
}

/**
 * The anchors to ask about, ascending: those behind the minimum context whose entropy passes the filter, and if these are
 * more than positionsPerDocument, a draw of them that depends on (seed, epoch, document id) alone.
 *
 * entropies: shape [T], nats; entropies[t] is that of the model's distribution for tokens[t] given tokens[0 .. t). What
 * stands before the minimum context is not looked at, and a position with NaN never passes.
 */
export function selectAnchors(
  entropies: ArrayLike<number>,
  settings: NextTokenSettings,
  seed: number,
  documentId: string,
  epoch = 0
): ReadonlyArray<number> {
  const candidates = Array.from(entropies).slice(settings.minimumContext)
  if (candidates.length === 0) return []
  const { filter } = settings
  const threshold = filter._tag === "MinEntropy" ? filter.nats : Difficulty.quantile(candidates, filter.quantile)
  const eligible = candidates.flatMap((entropy, i) => (entropy >= threshold ? [settings.minimumContext + i] : []))
  if (eligible.length <= settings.positionsPerDocument) return eligible
  const order = draw.permutation(seed, ["anchors", epoch, documentId], eligible.length)
  return Array.from(order.subarray(0, settings.positionsPerDocument), (i) => eligible[i]).toSorted((a, b) => a - b)
}

/**
 * A document cut into windows of at most maxTokens. Neighbours overlap by minimumContext tokens, so that every position
 * behind the minimum context of the document can be asked in exactly one window. The true continuation of a problem
 * ends with its window.
 */
export function windows(
  document: TokenizedDocument,
  settings: Pick<NextTokenSettings, "maxTokens" | "minimumContext">
): ReadonlyArray<TokenizedDocument> {
  const { id, tokens } = document
  const { maxTokens, minimumContext } = settings
  if (tokens.length <= maxTokens) return [document]
  const out: Array<TokenizedDocument> = []
  for (let start = 0; start + minimumContext < tokens.length; start += maxTokens - minimumContext) {
    out.push({ id: `${id}#${start}`, tokens: tokens.slice(start, start + maxTokens) })
  }
  return out
}
