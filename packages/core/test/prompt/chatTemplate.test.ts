import { readFileSync } from "node:fs"
import { Result } from "effect"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import type { ChatVocabulary } from "../../src/prompt/chatTemplate.ts"
import { chatTemplate } from "../../src/prompt/chatTemplate.ts"
import { anyText, made, real } from "../data/vocabularies.ts"

const vocabulary = (source: string | undefined, tokens: ReadonlyArray<string> = []): ChatVocabulary => ({
  name: "models/m",
  chatTemplate: source,
  namedTokens: { bos_token: "<s>", eos_token: "</s>" },
  specialTokens: ["<s>", "</s>", "<|im_start|>", "<|im_end|>", "<|eot_id|>", "<|end|>", ...tokens],
  tokenId: (content) => (tokens.includes(content) ? 0 : undefined)
})
const templateOf = (source: string, tokens: ReadonlyArray<string> = []) =>
  Result.getOrThrow(chatTemplate(vocabulary(source, tokens)))

/** What Python's jinja2 renders (chat/make.py). */
const golden: ReadonlyArray<Readonly<Record<"name" | "source" | "context" | "rendered", string>>> = readFileSync(
  new URL("chat/golden.jsonl", import.meta.url),
  "utf8"
)
  .split("\n")
  .filter(Boolean)
  .map((line) => JSON.parse(line)) // ours
const sourceOf = (name: string) => golden.find((one) => one.name === name)!.source

describe("the template chat", () => {
  it.each(golden)(
    "of $name puts $context where Python's jinja2 does, and opens a thought",
    ({ source, ...expected }) => {
      const { head, tail } = templateOf(source)
      const opened = expected.rendered.endsWith("<think>\n") ? "" : "<think>\n"
      expect(head + expected.context + tail).toBe(expected.rendered + opened)
    }
  )

  it("keeps any context as it is", () => {
    const { head, tail } = templateOf(sourceOf("inst"))
    expect(head).toBe("<s>[INST] ### Text\n")
    expect(tail).toMatch(/^\n\n### Task\n.* inside \\boxed\{\}\. \[\/INST\]<think>\n$/s)
    const { chatTemplate: own } = vocabulary(sourceOf("inst"))
    expect(own).toContain("strip") // It would trim a message; the context stands inside of one.
  })

  it("ends a completion with the token that ends what the assistant says", () => {
    expect(templateOf(sourceOf("headers")).stop[0]).toBe("<|eot_id|>")
    expect(templateOf(sourceOf("chatml")).stop[0]).toBe("<|im_end|>")
    expect(templateOf(sourceOf("inst")).stop[0]).toBe("</s>")
  })

  it("tells how a thought ends only to a model that has no token for it", () => {
    expect(templateOf(sourceOf("thinker")).tail).toContain("end your thoughts with </think>")
    expect(templateOf(sourceOf("thinker"), ["</think>"]).tail).not.toContain("</think>")
  })

  it("is the same on every day", () => {
    expect(templateOf(sourceOf("headers")).head).toContain("Today: 26 Jul 2024\n")
  })

  const turn = (content: string) =>
    `{% for message in messages %}<|im_start|>${content}<|im_end|>{% endfor %}{{ 'assistant:' }}`
  it.each([
    [undefined, "is not there: neither chat_template.jinja nor chat_template in tokenizer_config.json"],
    [turn("{{ message.content | upper }}"), "writes the message of the user 0 times; once was expected"],
    [turn("{{ message.content }}{{ message.content }}"), "writes the message of the user 2 times; once was expected"],
    ["no message at all", "writes the message of the user 0 times; once was expected"],
    [
      turn("{{ message.content | replace('\\n\\n', '\\n') }}"),
      /^changes what it is given: it does not keep "\\n\\n  ind/
    ],
    [turn("{{ message.content.split('</think>') | last }}"), /^(changes what it is given|writes the message)/],
    [turn("{{ message.content[:2000] }}"), /^changes what it is given: it does not keep "x{40}/],
    ["{{ raise_exception('only tools') }}", "cannot be rendered: only tools"],
    ["{% for %}", /^cannot be rendered: /]
  ])("refuses %j by name", (source, problem) => {
    const error = Result.getOrThrow(Result.flip(chatTemplate(vocabulary(source))))
    const said = error.message
      .replace("the chat template of models/m ", "")
      .replace("; --template boxed asks without one", "")
    if (typeof problem === "string") expect(said).toBe(problem)
    else expect(said).toMatch(problem)
    expect(error.message).toMatch(/^[^\n]{0,200}$/)
  })
})

describe("a prompt in a chat template", () => {
  const vocabularies = made.filter(({ name }) => ["qwen3", "llama3", "smollm2"].includes(name))
  const shapes = { qwen3: "thinker", llama3: "headers", smollm2: "chatml" } as const

  it.each(vocabularies)(
    "has its control tokens in head and tail alone, in the vocabulary of $name",
    ({ name, tokenizer }) => {
      const source = sourceOf(shapes[name as keyof typeof shapes]) // one of these three
      const named = { bos_token: tokenizer.specialTokens[0], eos_token: "" }
      const { head, tail } = Result.getOrThrow(chatTemplate({ ...tokenizer, chatTemplate: source, namedTokens: named }))
      const headIds = tokenizer.encodePrompt(head, "opens")
      const tailIds = tokenizer.encodePrompt(tail, "continues")
      const controls = new Set(tokenizer.specialTokens.map(tokenizer.tokenId))
      const count = (ids: Int32Array) => ids.filter((id) => controls.has(id)).length
      expect(count(headIds)).toBeGreaterThan(0)
      expect(count(tailIds)).toBeGreaterThan(1)
      if (name === "qwen3") expect(tailIds).toContain(tokenizer.tokenId("<think>"))
      fc.assert(
        fc.property(anyText, (context) => {
          fc.pre(context.normalize("NFC") === context && !/<\/?(tool_call|think)>/.test(context))
          const ids = [...headIds, ...tokenizer.encode(`${context}<|im_end|>`), ...tailIds]
          expect(tokenizer.text(ids)).toBe(`${head}${context.toWellFormed()}<|im_end|>${tail}`)
          expect(count(Int32Array.from(ids))).toBe(count(headIds) + count(tailIds))
        }),
        { numRuns: 100 }
      )
    }
  )

  const qwen = real().find(({ name }) => name.endsWith("qwen2_5"))
  it.skipIf(qwen === undefined)("of Qwen2.5 is what transformers writes", () => {
    const { head, tail, stop } = Result.getOrThrow(chatTemplate(qwen!.tokenizer))
    expect(head).toBe(
      "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n" +
        "<|im_start|>user\n### Text\n"
    )
    expect(tail).toMatch(/inside \\boxed\{\}\.<\|im_end\|>\n<\|im_start\|>assistant\n<think>\n$/)
    expect(stop[0]).toBe("<|im_end|>")
    // By transformers 5.24, apply_chat_template up to the context.
    expect([...qwen!.tokenizer.encodePrompt(head, "opens")]).toEqual([
      151644, 8948, 198, 2610, 525, 1207, 16948, 11, 3465, 553, 54364, 14817, 13, 1446, 525, 264, 10950, 17847, 13,
      151645, 198, 151644, 872, 198, 14374, 2918, 198
    ])
  })
})
