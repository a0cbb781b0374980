/** tokenizer.json, tokenizer_config.json and the chat template of a model. */
import { Effect, Result } from "effect"
import { chatTemplate, Tokenizer } from "../../packages/core/src/index.ts"
import type { Reader } from "./fuzz.ts"
import { mutateBytes, mutateJson } from "./mutate.ts"

const pattern = String.raw`(?i:'s|'t)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s+(?!\S)|\s+`
const special = (content: string, id: number) => ({ content, id, special: true, normalized: false, lstrip: false })
const bos = { SpecialToken: { id: "<s>", type_id: 0 } }
const processor = {
  type: "TemplateProcessing",
  single: [bos, { Sequence: { id: "A", type_id: 0 } }],
  special_tokens: { "<s>": { id: "<s>", ids: [0], tokens: ["<s>"] } }
}

const printable = Array.from({ length: 94 }, (_, i) => String.fromCharCode(0x21 + i))
const byteLevel = {
  normalizer: { type: "NFC" },
  pre_tokenizer: {
    type: "Sequence",
    pretokenizers: [
      { type: "Split", pattern: { Regex: pattern }, behavior: "Isolated", invert: false },
      { type: "Digits", individual_digits: true },
      { type: "ByteLevel", add_prefix_space: false, use_regex: false }
    ]
  },
  post_processor: { type: "Sequence", processors: [{ type: "ByteLevel" }, processor] },
  decoder: { type: "ByteLevel" },
  added_tokens: [special("<s>", 0), special("<|im_end|>", 97), { content: "<tool>", id: 98, special: false }],
  model: {
    type: "BPE",
    ignore_merges: false,
    vocab: Object.fromEntries([["<s>", 0], ...[...printable, "Ġ", "ab"].map((token, i) => [token, i + 1])]),
    merges: [["a", "b"]]
  }
}
const fallback = {
  normalizer: {
    type: "Sequence",
    normalizers: [
      { type: "Prepend", prepend: "▁" },
      { type: "Replace", pattern: { String: " " }, content: "▁" }
    ]
  },
  pre_tokenizer: null,
  post_processor: processor,
  decoder: {
    type: "Sequence",
    decoders: [{ type: "Replace", pattern: { String: "▁" }, content: " " }, { type: "Fuse" }]
  },
  added_tokens: [special("<s>", 0)],
  model: {
    type: "BPE",
    unk_token: "<s>",
    byte_fallback: true,
    vocab: Object.fromEntries([["<s>", 0], ...[...printable, "▁", "▁a"].map((token, i) => [token, i + 1])]),
    merges: ["▁ a"]
  }
}
const chat =
  "{{ bos_token }}{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] | trim }}" +
  "<|im_end|>{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
const config = {
  bos_token: "<s>",
  eos_token: { content: "<|im_end|>" },
  chat_template: [{ name: "default", template: chat }]
}

const texts = ["ab a1b2 <s> <tool> it's", "  x<|im_end|>y", "<0x41>ab"]
const bare = (text: string) => text.normalize("NFC").replaceAll(/[ ▁]/g, "")

/** A tokenizer that is taken spells each text, but for blanks, or says that it cannot; a chat template that is taken keeps them. */
export const tokenizers: Reader = {
  name: "tokenizers",
  read: async (random) => {
    const json = random.oneOf([byteLevel, fallback])
    const whole = (value: unknown) => new TextEncoder().encode(JSON.stringify(value))
    const which = random.below(3)
    const bytes = which === 0 ? mutateJson(json, random) : whole(json)
    const configBytes = which === 1 ? mutateJson(config, random) : whole(config)
    const source =
      which === 2 ? new TextDecoder().decode(mutateBytes(new TextEncoder().encode(chat), random)) : undefined
    const input = new Uint8Array(Buffer.concat([bytes, configBytes]))
    const decode = (part: Uint8Array) => new TextDecoder().decode(part)
    const built = Tokenizer.fromJson({
      name: "m",
      tokenizer: decode(bytes),
      config: decode(configBytes),
      chatTemplate: source
    })
    const read = Effect.runSync(Effect.result(built))
    if (Result.isFailure(read)) return { input, outcome: { _tag: "Refused", error: read.failure } }
    const tokenizer = read.success
    for (const text of texts) {
      try {
        const spelled = tokenizer.text(tokenizer.encode(text))
        if (bare(spelled) !== bare(text)) throw new Error(`${JSON.stringify(text)} became ${JSON.stringify(spelled)}`)
      } catch (error) {
        if (!(error instanceof Tokenizer.TokenizerError)) throw error
        return { input, outcome: { _tag: "Refused", error } }
      }
    }
    const template = chatTemplate(tokenizer)
    if (Result.isFailure(template)) return { input, outcome: { _tag: "Refused", error: template.failure } }
    const { head, tail } = template.success
    if (!head.endsWith("### Text\n") || !tail.startsWith("\n\n### Task\n"))
      throw new Error(JSON.stringify([head, tail]))
    return { input, outcome: { _tag: "Value" } }
  }
}
