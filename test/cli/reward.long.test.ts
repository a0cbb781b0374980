import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, describe, expect, it } from "@effect/vitest"
import { foretoken, shared } from "./foretoken.ts"

const root = mkdtempSync(join(tmpdir(), "foretoken-reward-long-"))
afterAll(() => rmSync(root, { recursive: true, force: true }))

const tokenizer = shared("models/tokenizers/qwen2_5")
const corpora = [
  { ...shared("data/gsm8k/train.jsonl"), field: "answer" },
  { ...shared("data/omni-math/train.jsonl"), field: "solution" }
]

const check = async (reward: string, corpus: (typeof corpora)[number]) => {
  const text = ["--corpus", corpus.path, "--field", corpus.field, "--model", tokenizer.path]
  const began = performance.now()
  const { code, stdout, stderr } = await foretoken(["reward", "check", reward, ...text, "--json"])
  if (stdout === "") throw new Error(stderr)
  const { laws, search } = JSON.parse(stdout)
  const seconds = (performance.now() - began) / 1000
  const { honest, best } = search
  const scores = `honest ${honest.reward.toFixed(3)}, best paid while wrong ${best.paidWhileWrong.toFixed(3)}`
  process.stderr.write(`${reward} on ${search.corpus.name}: ${scores} (${best.strategy}), ${seconds.toFixed(1)} s\n`)
  return { code, laws, search, seconds }
}

/** Right if the next token stands anywhere in the answer. */
const lenient = `
  export default ({ prediction }, { continuation }) =>
    prediction.outcome === "answered" &&
    Buffer.from(prediction.bytes).includes(continuation.bytes.subarray(0, continuation.boundaries[0])) ? 1 : 0
`

for (const corpus of corpora) {
  describe.skipIf(tokenizer.missing || corpus.missing)(`foretoken reward check on ${corpus.path}`, () => {
    it("finds no exploit of the paper's reward above the honest baseline", async () => {
      const { code, laws, search } = await check("prefixMatch", corpus)
      expect(laws.broken).toEqual([])
      expect(search.exploits).toEqual([])
      expect(search.best.paidWhileWrong).toBe(0)
      expect(search.honest.reward).toBeGreaterThan(0.2)
      expect(code).toBe(0)
    })

    it("finds the hack of a reward that matches substrings within a minute", async () => {
      const path = join(root, "lenient.ts")
      writeFileSync(path, lenient)
      const { code, search, seconds } = await check(path, corpus)
      expect(code).toBe(1)
      const [exploit] = search.exploits
      expect(exploit.reward).toBeGreaterThan(search.honest.reward + 0.2)
      expect(exploit.examples[0].reference).toMatch(/^wrong: /)
      expect(seconds).toBeLessThan(60)
    })
  })
}

it("foretoken reward check gives a reward up that hangs, and says where", async () => {
  const path = join(root, "endless.ts")
  writeFileSync(path, "export default ({ prediction }) => { while (prediction.outcome === 'empty'); return 0 }")
  const { code, stdout, stderr } = await foretoken(["reward", "check", path, "--json"])
  const { laws, search } = JSON.parse(stdout)
  expect(laws.broken.map(({ law }: { readonly law: string }) => law)).toEqual(["endless answers in time"])
  expect(laws.broken[0].report).toMatch(/^endless gave no answer within 10 seconds for these completions .*\(empty\)/s)
  expect(search).toEqual({ _tag: "Skipped", reason: "it hangs" })
  expect(stderr).toMatch(/breaks 1 law, and was not searched for exploits \(it hangs\)/)
  expect(code).toBe(1)
})
