/** A text as a tokenizer takes it: cut at added tokens, in its normal form, with its sign for spaces. */
import type { AddedToken, Spelling } from "./tokenizerJson.ts"

export type Piece = { readonly _tag: "Text"; readonly text: string } | { readonly _tag: "Added"; readonly id: number }

/**
 * Cuts texts at these added tokens, the longest that stands leftmost first, and gives what is between its normal form.
 * Tokens that are not special may ask to be looked for behind the normal form.
 */
export function cutter(
  added: ReadonlyArray<AddedToken>,
  form: Spelling["form"]
): (text: string) => ReadonlyArray<Piece> {
  const normal = (text: string) => (form === undefined ? text : text.normalize(form))
  const isLate = ({ special, normalized }: AddedToken) => normalized && !special && form !== undefined
  const early = splitter(added.filter((token) => !isLate(token)))
  const late = splitter(added.filter(isLate).map((token): AddedToken => ({ ...token, content: normal(token.content) })))
  return (text) => early(text).flatMap((piece) => (piece._tag === "Text" ? late(normal(piece.text)) : [piece]))
}

/** `text` with the vocabulary's sign for spaces. */
export const respaced = (text: string, { space }: Spelling): string =>
  space === " " ? text : text.replaceAll(" ", space)

/** The same with the space in front, where a piece at this place gets one. */
export function spelled(text: string, spelling: Spelling, isFirst: boolean): string {
  const { space, prefix } = spelling
  const own = respaced(text, spelling)
  const isAsked = prefix.scheme === "always" || (prefix.scheme === "first" && isFirst)
  return isAsked && !(prefix.onlyIfMissing && own.startsWith(space)) ? space + own : own
}

function splitter(tokens: ReadonlyArray<AddedToken>): (text: string) => ReadonlyArray<Piece> {
  const asText = (text: string): ReadonlyArray<Piece> => (text === "" ? [] : [{ _tag: "Text", text }])
  if (tokens.length === 0) return asText
  const ids = new Map(tokens.map(({ content, id }) => [content, id]))
  const longestFirst = [...ids.keys()].toSorted((a, b) => b.length - a.length)
  const pattern = new RegExp(`(${longestFirst.map(escaped).join("|")})`, "u")
  return (text) =>
    text.split(pattern).flatMap((part, i) => {
      // With one group, every second part is what the group matched.
      const id = i % 2 === 1 ? ids.get(part) : undefined
      return id === undefined ? asText(part) : [{ _tag: "Added", id } as const]
    })
}

const escaped = (content: string) => content.replaceAll(/[\\^$.*+?()[\]{}|/]/g, String.raw`\$&`)
