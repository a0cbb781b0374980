import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Tokenizer from "../../src/data/Tokenizer.ts"

const special = (id: number, content: string) => ({ id, content, special: true })
const tokenizer = JSON.stringify({
  decoder: { type: "ByteLevel" },
  model: { type: "BPE", vocab: { a: 0, b: 1 }, merges: [] },
  added_tokens: [special(2, "<s>"), special(3, "</s>"), special(4, "<e>")]
})

/** Reads a tokenizer from a directory that has these files too. */
const load = (files: Readonly<Record<string, unknown>>) =>
  Effect.acquireUseRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "foretoken-tokenizer-"))),
    (directory) => {
      writeFileSync(join(directory, "tokenizer.json"), tokenizer)
      for (const [name, json] of Object.entries(files)) writeFileSync(join(directory, name), JSON.stringify(json))
      return Effect.mapError(Tokenizer.load(directory), ({ message }) => message.replace(`${directory}/`, ""))
    },
    (directory) => Effect.sync(() => rmSync(directory, { recursive: true }))
  )

const map = { bos_token: { content: "<s>", lstrip: false }, eos_token: "</s>" }

describe("the files beside a tokenizer.json", () => {
  it.effect("name special tokens as transformers 5 takes them, in files of before 2023-09 too, and are kept", () =>
    Effect.gen(function* () {
      const ends = (files: Readonly<Record<string, unknown>>) => Effect.map(load(files), ({ bos, eos }) => [bos, eos])
      const none = [undefined, undefined]
      expect(yield* ends({})).toEqual(none)
      expect(yield* ends({ "special_tokens_map.json": map })).toEqual([2, 3])
      const config = { eos_token: "<e>" }
      expect(yield* ends({ "tokenizer_config.json": config })).toEqual([undefined, 4])
      expect(yield* ends({ "tokenizer_config.json": config, "special_tokens_map.json": map })).toEqual([2, 3])
      const current = { ...config, added_tokens_decoder: { "2": { content: "<s>", special: true } } }
      expect(yield* ends({ "tokenizer_config.json": current, "special_tokens_map.json": map })).toEqual([undefined, 4])
      const { files, namedTokens } = yield* load({ "special_tokens_map.json": map, "added_tokens.json": { "<e>": 4 } })
      expect(namedTokens).toEqual({ bos_token: "<s>", eos_token: "</s>" })
      expect(JSON.parse(files.get("special_tokens_map.json") ?? "")).toEqual(map)
      expect(JSON.parse(files.get("added_tokens.json") ?? "")).toEqual({ "<e>": 4 })
    })
  )

  it.effect("are refused where they add tokens that tokenizer.json lacks: transformers would cut texts at them", () =>
    Effect.gen(function* () {
      const refusal = (files: Readonly<Record<string, unknown>>) => Effect.flip(load(files))
      expect(
        yield* refusal({ "tokenizer_config.json": { added_tokens_decoder: { "5": { content: "<new>" } } } })
      ).toMatch(
        /^tokenizer.json: tokenizer_config.json has the token "<new>" with the id 5, which is not there; [^\n]+$/
      )
      expect(yield* refusal({ "added_tokens.json": { "<s>": 2, "<e>": 5 } })).toMatch(
        /^tokenizer.json: added_tokens.json has the token "<e>" with the id 5, which is 4 there; [^\n]+$/
      )
      expect(yield* refusal({ "special_tokens_map.json": [] })).toBe(
        "special_tokens_map.json: a JSON object was expected"
      )
    })
  )

  it.effect("have one chat template, a list of them, or some by name", () =>
    Effect.gen(function* () {
      const template = (chat_template: unknown) =>
        Effect.map(load({ "tokenizer_config.json": { chat_template } }), ({ chatTemplate }) => chatTemplate)
      const tool = { name: "tool_use", template: "t" }
      expect(yield* template("x")).toBe("x")
      expect(yield* template([tool, { name: "default", template: "x" }])).toBe("x")
      expect(yield* template({ tool_use: "t", default: "x" })).toBe("x")
      expect(yield* template([tool])).toBeUndefined()
      expect(yield* template({ tool_use: "t" })).toBeUndefined()
    })
  )
})
