import { createHash } from "node:crypto"
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, describe, expect, it } from "@effect/vitest"
import { inProcess } from "./foretoken.ts"
import { saveTinyModel } from "./tinyModel.ts"

const root = mkdtempSync(join(tmpdir(), "foretoken-reward-"))
afterAll(() => rmSync(root, { recursive: true, force: true }))

const file = (name: string, text: string): string => {
  const path = join(root, name)
  writeFileSync(path, text)
  return path
}

const hex = (text: string) => Buffer.from(text).toString("hex")

/** A reward that looks for the next token anywhere in the answer, and says of itself that it is the paper's. */
const lenient = `
  import { Reward } from "@foretoken/core"
  export default Reward.pure("lenient", ({ prediction }, { continuation }) =>
    prediction.outcome === "answered" &&
    Buffer.from(prediction.bytes).includes(continuation.bytes.subarray(0, continuation.boundaries[0])) ? 1 : 0,
    { prefix: ["sound"] })
`
/** The paper's reward by hand, with nothing imported. */
const plain = `
  export default ({ prediction }, { continuation }) =>
    prediction.outcome === "answered" &&
    continuation.boundaries.includes(prediction.bytes.length) &&
    prediction.bytes.every((byte, i) => byte === continuation.bytes[i]) ? 1 : 0
`

const json = async (args: ReadonlyArray<string>, code = 0) => {
  const finished = await inProcess([...args, "--json"])
  expect({ code: finished.code, stderr: code === 0 ? finished.stderr : "" }).toEqual({ code, stderr: "" })
  return { ...JSON.parse(finished.stdout), stderr: finished.stderr }
}

const refuses = async (args: ReadonlyArray<string>, line: RegExp, code = 1) => {
  const finished = await inProcess(args)
  expect(finished.stdout).toBe("")
  expect(finished.stderr).toMatch(line)
  expect(finished.stderr.trimEnd().split("\n")).toHaveLength(1)
  expect(finished.code).toBe(code)
}

describe("foretoken reward score", () => {
  const truth = [hex(" pa"), hex("ra"), "c3", "a9"]
  const cases = [
    [truth, "thought</think>\\boxed{ pa}", "answered", " pa", 1],
    [truth, "</think>\\boxed{ para}", "answered", " para", 1],
    [truth, "</think>\\boxed{ par}", "answered", " par", 0],
    [truth, "</think>\\boxed{pa}", "answered", "pa", 0],
    [truth, "</think>\\boxed{}", "empty", null, 0],
    [truth, "\\boxed{ pa}", "truncated", null, 0],
    [truth, "</think> pa", "no-box", null, 0],
    [truth, "</think>\\boxed{ pa", "malformed", null, 0]
  ] as const
  const lines = cases.map(([continuation, completion]) => JSON.stringify({ continuation, completion })).join("\n")

  it("gives outcome, prediction and value of each case, in order", async () => {
    const args = [
      "reward",
      "score",
      file("cases.jsonl", `${lines}\n`),
      "--reward",
      "prefixMatch",
      "--template",
      "boxed"
    ]
    const { verdicts } = await json(args)
    expect(verdicts).toEqual(cases.map(([, , outcome, prediction, value]) => ({ outcome, prediction, value })))
  })

  it("reads the compact template, too, and half characters as hex", async () => {
    const completion = { hex: `${hex("</think>")}c3${hex("<|end|>")}` }
    const path = file("half.jsonl", JSON.stringify({ continuation: ["c3", "a9"], completion }))
    const { verdicts } = await json(["reward", "score", path, "--template", "compact"])
    expect(verdicts).toEqual([{ outcome: "answered", prediction: "\ufffd", hex: "c3", value: 1 }])
  })

  it("reads every built-in template", async () => {
    const completion = "</think>\\boxed{\\n}"
    const path = file("escaped.jsonl", JSON.stringify({ continuation: ["0a"], completion }))
    const valueUnder = async (template: string) =>
      (await json(["reward", "score", path, "--template", template])).verdicts[0].value
    const values = await Promise.all(["boxed", "candidates", "terse", "escaped", "compact"].map(valueUnder))
    expect(values).toEqual([0, 0, 0, 1, 0])
  })

  it("takes a reward from a file, and says why it could not score", async () => {
    const reward = file("picky.ts", "export default () => NaN")
    const { verdicts } = await json(["reward", "score", file("cases.jsonl", lines), "--reward", reward])
    expect(verdicts[0]).toEqual({
      outcome: "answered",
      prediction: " pa",
      value: null,
      unscorable: "picky gave NaN, which is no finite number"
    })
  })

  for (const [what, line, said] of [
    ["no JSON", "hello", /no JSON: "hello"; each line is one case/],
    ["a list", "[1]", /\[1\] is no case; \{ continuation, completion \} was expected/],
    ["no continuation", '{"completion": "a"}', /continuation is missing; the hex bytes of at least one true token/],
    [
      "half a byte",
      '{"continuation": ["616"], "completion": "a"}',
      /continuation\[0\] is "616"; bytes as pairs of hex/
    ],
    ["no text", '{"continuation": ["61"], "completion": 3}', /completion is 3; a text was expected/]
  ] as const) {
    it(`refuses a line with ${what}, with file and line`, async () => {
      const path = file("bad.jsonl", `${lines.split("\n")[0]}\n${line}\n`)
      await refuses(["reward", "score", path], new RegExp(`^foretoken: .*bad\\.jsonl:2: ${said.source}`))
    })
  }

  it("refuses what is not there: cases, a reward by name, a reward by file", async () => {
    await refuses(["reward", "score", join(root, "none.jsonl")], /none\.jsonl: no such file$/m)
    const path = file("cases.jsonl", lines)
    await refuses(
      ["reward", "score", path, "--reward", "prefixmatch"],
      /there is no reward "prefixmatch"; .*prefixMatch/
    )
    await refuses(["reward", "score", path, "--reward", join(root, "no.ts")], /no\.ts: there is no such file/)
    await refuses(["reward", "score"], /the argument cases\.jsonl is missing/, 2)
  })
})

describe("foretoken reward check", () => {
  const quick = ["--cases", "40", "--positions", "96", "--mutations", "8"]

  it("finds nothing wrong with the paper's reward", async () => {
    const { laws, search, certificate } = await json(["reward", "check", "prefixMatch", ...quick])
    expect(laws.broken).toEqual([])
    expect(laws.passed.length).toBeGreaterThan(10)
    expect(search).toMatchObject({ _tag: "Searched", exploits: [], best: { paidWhileWrong: 0 }, truth: { reward: 1 } })
    expect(search.honest.reward).toBeGreaterThan(0.3)
    expect(certificate).toBeNull()
  })

  it("finds the hack of a lenient reward and the law it breaks, and certifies both", async () => {
    const reward = file("lenient.ts", lenient)
    const found = await json(["reward", "check", reward, ...quick], 1)
    expect(found.stderr).toMatch(/^foretoken: the reward lenient breaks 1 law, and pays \d+ strategies more for wrong/)
    expect(found.laws.broken).toHaveLength(1)
    expect(found.laws.broken[0].report).toMatch(/prediction .*\n/)
    const [exploit] = found.search.exploits
    expect(exploit.reward).toBeGreaterThan(found.search.honest.reward)
    expect(exploit.examples[0].reference).toMatch(/^wrong: /)
    expect(exploit.examples[0].reward).toBe(1)

    expect(found.certificate).toBe(join(root, "lenient.certificate.json"))
    const certificate = JSON.parse(readFileSync(found.certificate, "utf8"))
    expect(certificate).toMatchObject({
      format: 1,
      reward: "lenient",
      sourceHash: createHash("sha256").update(lenient).digest("hex"),
      laws: { runs: 40, seed: 0, broken: [found.laws.broken[0].law] },
      search: { honest: found.search.honest.reward, corpus: { name: "dials" } }
    })
    expect(certificate.search.exploits.length).toBe(found.search.exploits.length)
  })

  it("certifies a reward that imports nothing, where it is told to", async () => {
    const path = join(root, "elsewhere.json")
    const reward = file("plain.ts", plain)
    const { laws, search } = await json(["reward", "check", reward, "--certificate", path, ...quick])
    expect([laws.broken, search.exploits]).toEqual([[], []])
    expect(JSON.parse(readFileSync(path, "utf8")).search.best.paidWhileWrong).toBe(0)
    expect(existsSync(join(root, "plain.certificate.json"))).toBe(false)
  })

  it("shows a counterexample and an example to people", async () => {
    const { stdout, code } = await inProcess(["reward", "check", file("lenient.ts", lenient), ...quick])
    expect(code).toBe(1)
    expect(stdout).toMatch(/^BROKEN {2}lenient pays for nothing but/)
    expect(stdout).toMatch(/ {2}truth {7}"/)
    expect(stdout).toMatch(/EXPLOIT {2}\d+ .*above honest guessing\n {2}writes/)
  })

  it("refuses a text without a tokenizer, a template that the vocabulary cannot spell, a text too short", async () => {
    const corpus = file("short.txt", "Here the dial shows 4.")
    await refuses(["reward", "check", "prefixMatch", "--corpus", corpus], /needs --model, whose tokenizer/, 2)
    const model = join(root, "model")
    await saveTinyModel(model)
    const few = /short\.txt: 0 positions with 16 tokens before them in every other of 1 documents; at least 32 were/
    await refuses(["reward", "check", "prefixMatch", "--corpus", corpus, "--model", model], few)
    await refuses(["reward", "check", "prefixMatch", "--template", "boxed"], /tokenizer dials cannot spell \\boxed\{/)
    await refuses(
      ["reward", "check", "dense"],
      /dense asks a model, and none is at hand here; a reward that judges without/
    )
    await refuses(["reward", "check"], /the argument reward is missing/, 2)
  })
})

describe("foretoken train with a certified reward", () => {
  const train = (run: string, reward: string, ...more: ReadonlyArray<string>) => {
    const small = ["--steps", "1", "--documents", "1", "--positions", "2", "--group", "2", "--max-tokens", "4"]
    const run1 = [
      "train",
      "--model",
      "preset:nano",
      "--corpus",
      "dials",
      "--min-entropy",
      "0",
      "--run",
      join(root, run)
    ]
    return [...run1, ...small, "--reward", reward, ...more]
  }
  const check = (reward: string) =>
    json(["reward", "check", reward, "--cases", "5", "--positions", "32", "--mutations", "0"])

  it("writes the certificate into the manifest and the checkpoint, and refuses a stale one", async () => {
    const reward = file("mine.ts", plain)
    const { certificate: path } = await check(reward)
    const certificate = JSON.parse(readFileSync(path, "utf8"))
    const { checkpoint } = await json(train("certified", reward))
    const manifest = JSON.parse(readFileSync(join(root, "certified/manifest.json"), "utf8"))
    expect(manifest.certificate).toEqual(certificate)
    expect(manifest.config.verifier.reward).toBe("mine")
    expect(JSON.parse(readFileSync(join(checkpoint, "state.json"), "utf8")).certificate).toEqual(certificate)

    writeFileSync(reward, `${plain}// a change`)
    await refuses(
      train("stale", reward),
      /mine\.certificate\.json: .*mine\.ts has changed since it was certified; `foretoken/
    )
    await refuses(
      train("other", "prefixMatch", "--certificate", path),
      /certifies the reward mine, and prefixMatch is in use/
    )
    await refuses(train("none", reward, "--certificate", reward), /mine\.ts: no certificate of a reward: /)
    expect(["stale", "other", "none"].filter((run) => existsSync(join(root, run)))).toEqual([])
  })

  it("trains without a certificate where there is none", async () => {
    await json(train("plain", "prefixMatch"))
    expect(JSON.parse(readFileSync(join(root, "plain/manifest.json"), "utf8")).certificate).toBeUndefined()
  })
})
