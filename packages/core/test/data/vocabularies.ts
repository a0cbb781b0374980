import { existsSync, readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import * as fc from "fast-check"
import * as Tokenizer from "../../src/data/Tokenizer.ts"
import { shared } from "./shared.ts"

const here = (name: string) => fileURLToPath(new URL(`tokenizers/${name}`, import.meta.url))
// Both are ours (tokenizers/make.py).
const lines = (name: string): ReadonlyArray<string> => readFileSync(here(name), "utf8").split("\n").filter(Boolean)

/** Texts, and the ids that Python's `tokenizers` gives them by vocabulary. */
export const golden: ReadonlyArray<{ readonly text: string; readonly ids: Readonly<Record<string, string>> }> = lines(
  "golden.jsonl"
).map((line) => JSON.parse(line))

export interface Vocabulary {
  readonly name: string
  readonly tokenizer: Tokenizer.Tokenizer
  /** The text that a document's bytes are: as the tokenizer.json asks for. */
  readonly spelled: Spelled
  /** The same of a text that continues another one. */
  readonly continued: Spelled
  /** Where the Python package can read it from; undefined of those made here, which are in vocabularies.jsonl. */
  readonly path: string | undefined
}

type Spelled = (text: string) => string

const same = (text: string) => text
const nfc = (text: string) => text.normalize("NFC")
const blank = (text: string) => text.replaceAll("▁", " ")
const prefixed = (text: string) => (text === "" || text.startsWith(" ") ? text : ` ${text}`)
const spacedOnce = (text: string) => prefixed(blank(text))
const spaced = (text: string) => (text === "" ? "" : ` ${blank(text)}`)

/** How each spells what opens a text, and what continues one. */
const spellings: Readonly<Record<string, readonly [spelled: Spelled, continued: Spelled]>> = {
  gpt2: [same, same],
  "prefix-space": [prefixed, same],
  qwen2: [nfc, nfc],
  qwen3: [nfc, nfc],
  llama3: [same, same],
  smollm2: [same, same],
  tekken: [same, same],
  llama2: [spaced, blank],
  mistral: [spacedOnce, blank],
  metaspace: [spacedOnce, blank],
  "models/stories15M": [spaced, blank],
  "models/stories260K": [spaced, blank],
  "models/tokenizers/gpt2": [same, same],
  "models/tokenizers/qwen2_5": [nfc, nfc]
}

/** One tiny vocabulary for each family, made by tokenizers/make.py. */
export const made: ReadonlyArray<Vocabulary & { readonly json: string }> = lines("vocabularies.jsonl").map((line) => {
  const { name, tokenizer: json } = JSON.parse(line)
  const text = JSON.stringify(json)
  const tokenizer = Tokenizer.build({ name, tokenizer: text, config: "{}" })
  const [spelled, continued] = spellings[name]
  return { name, json: text, tokenizer, spelled, continued, path: undefined }
})

/** Real ones, of ../shared, where they are there. */
export const real = (): ReadonlyArray<Vocabulary> =>
  Object.entries(spellings).flatMap(([name, [spelled, continued]]) => {
    const { path, missing } = name.startsWith("models/") ? shared(name) : { path: "", missing: true }
    if (missing) return []
    const config = `${path}/tokenizer_config.json`
    const tokenizer = Tokenizer.build({
      name,
      tokenizer: readFileSync(`${path}/tokenizer.json`, "utf8"),
      config: existsSync(config) ? readFileSync(config, "utf8") : "{}"
    })
    return [{ name, tokenizer, spelled, continued, path: `${path}/tokenizer.json` }]
  })

/** Any Unicode text: any code points, graphemes, control characters, and what tokenizers are known to trip over. */
export const anyText: fc.Arbitrary<string> = fc
  .array(
    fc.oneof(
      fc.string({ unit: "binary", maxLength: 8 }),
      fc.string({ unit: "grapheme", maxLength: 8 }),
      fc.string({ unit: "binary-ascii", maxLength: 8 }),
      fc.constantFrom(
        ..." |  |\n\n|\r\n|日本|e\u0301|\u1112\u1161\u11ab|▁|\ufeff|\u0085|<0x41>|Ġ|'s|'LL|1234|٣٤|½".split("|"),
        ..."<s> <unk> <|im_end|> <|endoftext|> <|eot_id|> [INST] <tool_call> </think> \ufffd".split(" ")
      )
    ),
    { maxLength: 6 }
  )
  .map((parts) => parts.join(""))
