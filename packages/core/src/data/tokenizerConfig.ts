/**
 * What the files beside a tokenizer.json say: tokenizer_config.json, and special_tokens_map.json and added_tokens.json, which
 * transformers reads where tokenizer_config.json has no `added_tokens_decoder` (files of before 2023-09).
 */
import { isRecord, quote } from "./tokenBytes.ts"

type Json = Readonly<Record<string, unknown>>

export interface TokenizerConfigFiles {
  readonly config: Json
  readonly specialTokensMap: Json
  readonly addedTokens: Json
}

const names = ["bos_token", "eos_token", "unk_token", "pad_token"] as const

/** The contents of bos_token and its kin, each a string, an object with `content` (older files), or null. */
export const namedTokens = ({ config, specialTokensMap }: TokenizerConfigFiles): Readonly<Record<string, string>> => {
  const given = isCurrent(config) ? config : { ...config, ...specialTokensMap }
  return Object.fromEntries(
    names.flatMap((name) => {
      const token = given[name]
      const content = isRecord(token) ? token.content : token
      return typeof content === "string" ? [[name, content]] : []
    })
  )
}

const isCurrent = (config: Json): boolean => isRecord(config.added_tokens_decoder)

/**
 * What is wrong with tokens that these files add to a tokenizer.json whose ids are `ids`; undefined where it has them all.
 * transformers would add them, so a text would be other tokens there than here.
 */
export const addedTokensProblem = (
  { config, addedTokens }: TokenizerConfigFiles,
  ids: ReadonlyMap<string, number>
): string | undefined => {
  const entries = isCurrent(config)
    ? Object.entries(config.added_tokens_decoder ?? {}).map(([id, token]) => [contentOf(token), Number(id)] as const)
    : Object.entries(addedTokens)
  const other = entries.find(([content, id]) => ids.get(content) !== id)
  if (other === undefined) return undefined
  const [content, id] = other
  const here = ids.get(content)
  return (
    `${isCurrent(config) ? "tokenizer_config.json" : "added_tokens.json"} has the token ${quote(content)} with the id ${quote(id)}, ` +
    `${here === undefined ? "which is not there" : `which is ${here} there`}; tokenizer.json has to have all tokens, as transformers saves it`
  )
}

const contentOf = (token: unknown): string => (isRecord(token) ? String(token.content) : String(token))

/** One template, or several by name, in a list or as keys, of which the one for plain chats is called default. */
export const chatTemplateIn = ({ chat_template: given }: Json): string | undefined => {
  if (typeof given === "string") return given
  const entries: ReadonlyArray<unknown> = Array.isArray(given) ? given : []
  const found = isRecord(given)
    ? given.default
    : entries.filter(isRecord).find(({ name }) => name === "default")?.template
  return typeof found === "string" ? found : undefined
}
