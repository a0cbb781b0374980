import { createHash } from "node:crypto"
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, describe, expect, it } from "vitest"
import { Reward, Template } from "@foretoken/core"
import { templateNames } from "../../packages/cli/src/flags.ts"
import { made } from "../../packages/core/test/data/vocabularies.ts"
import { inProcess } from "./foretoken.ts"

const root = mkdtempSync(join(tmpdir(), "foretoken-model-rewards-"))
afterAll(() => rmSync(root, { recursive: true, force: true }))

const json = async (args: ReadonlyArray<string>) => {
  const { code, stdout, stderr } = await inProcess([...args, "--json"])
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
  return JSON.parse(stdout)
}

/** A step of reinforcement from random weights: no thought ever ends. */
const reinforce = (name: string, flags: ReadonlyArray<string>) =>
  json([
    ..."train --model preset:nano --steps 2 --lr 0.001 --min-entropy 0 --max-tokens 6 --group 4 --documents 2".split(
      " "
    ),
    ...(flags.includes("--corpus") ? [] : ["--corpus", "dials"]),
    ...flags,
    "--run",
    join(root, name)
  ])

describe("foretoken train with a reward that asks the policy", () => {
  it("takes information gain from it: the same for the same seed, and nothing for thoughts that never end", async () => {
    const first = await reinforce("gain", ["--reward", "informationGain"])
    const { metrics } = first
    expect(metrics["reward/unscorable"]).toBe(0)
    expect(metrics["reward/part/informationGain"]).toBe(metrics["reward/mean"])
    expect(metrics["reward/mean"]).toBeLessThanOrEqual(0)
    expect(metrics["groups/informative"]).toBeGreaterThan(0)
    expect((await reinforce("again", ["--reward", "informationGain"])).weightsHash).toBe(first.weightsHash)
    expect(JSON.parse(readFileSync(join(root, "gain", "manifest.json"), "utf8")).config.verifier).toMatchObject({
      reward: "informationGain"
    })
  })

  it("takes one from a user's file, which then runs where the model is", async () => {
    const file = join(root, "mixed.ts")
    writeFileSync(
      file,
      `import { Reward } from "@foretoken/core"
       export default Reward.weighted([1, Reward.prefixMatch], [0.1, Reward.informationGain({ tokens: 2 })])`
    )
    const { metrics } = await reinforce("mixed", ["--reward", file])
    expect(metrics["reward/unscorable"]).toBe(0)
    expect(metrics["reward/part/prefixMatch"]).toBe(0)
    expect(metrics["reward/mean"]).toBeCloseTo(0.1 * metrics["reward/part/informationGain"], 9)
    const { config } = JSON.parse(readFileSync(join(root, "mixed", "manifest.json"), "utf8"))
    expect(config.verifier.sourceHash).toBe(createHash("sha256").update(readFileSync(file)).digest("hex"))
  })
})

it("train tells how many positions cannot be won under the template in use", async () => {
  // The generated corpus has no braces: a byte-level vocabulary, and a text of letters and lone braces.
  const { tokenizer, json: tokenizerJson } = made.find(({ name }) => name === "gpt2")!
  mkdirSync(join(root, "bytes"))
  writeFileSync(join(root, "bytes", "tokenizer.json"), tokenizerJson)
  const text = "a{".repeat(20)
  const corpus = join(root, "braces.jsonl")
  writeFileSync(corpus, Array.from({ length: 4 }, () => JSON.stringify({ text })).join("\n"))
  const flags = ["--tokenizer", join(root, "bytes"), "--template", "terse", "--corpus", corpus]
  const { winnability } = await reinforce("braces", flags)
  const { positions, unwinnable, firstTokenUnwinnable } = winnability
  // No box can hold a brace that opens and never closes.
  const asked = tokenizer.encode(text).subarray(16)
  const braces = asked.filter((id) => tokenizer.bytes(id).includes(0x7b)).length
  expect(positions).toBe(4 * asked.length)
  expect([unwinnable, firstTokenUnwinnable]).toEqual([4 * braces, 4 * braces])
  expect(braces).toBeGreaterThan(5)
})

it("the command line knows every built-in template, and every built-in reward by its own name", () => {
  expect([...templateNames].toSorted()).toEqual([...Object.keys(Template.builtin), "chat"].toSorted())
  for (const [name, reward] of Object.entries(Reward.builtin)) expect(reward.name).toBe(name)
})
