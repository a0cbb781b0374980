import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "@effect/vitest"
import { inProcess } from "./foretoken.ts"

const root = mkdtempSync(join(tmpdir(), "foretoken-replay-"))
afterAll(() => rmSync(root, { recursive: true, force: true }))

const file = (name: string, text: string): string => {
  const path = join(root, name)
  writeFileSync(path, text)
  return path
}

/** Pays for an even sum of tokens, so that rewards differ within groups whatever the model writes. */
const even = file(
  "even.ts",
  "export default ({ rollout }) => (rollout.completion.tokens.reduce((sum, token) => sum + token, 0) % 2 === 0 ? 1 : 0)"
)
const odd = file(
  "odd.ts",
  "export default ({ rollout }) => (rollout.completion.tokens.reduce((sum, token) => sum + token, 0) % 2 === 0 ? 0 : 1)"
)
const picky = file("picky.ts", "export default ({ rollout }) => (rollout.index === 0 ? NaN : 1)")

const run = join(root, "run")

const json = async (args: ReadonlyArray<string>) => {
  const { code, stdout, stderr } = await inProcess([...args, "--json"])
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
  return JSON.parse(stdout)
}

const refuses = async (args: ReadonlyArray<string>, line: RegExp, code = 1) => {
  const finished = await inProcess(args)
  expect(finished.stdout).toBe("")
  expect(finished.stderr).toMatch(line)
  expect(finished.stderr.trimEnd().split("\n")).toHaveLength(1)
  expect(finished.code).toBe(code)
}

beforeAll(async () => {
  const small = ["--steps", "2", "--documents", "2", "--positions", "3", "--group", "4", "--max-tokens", "6"]
  const source = ["--model", "preset:nano", "--corpus", "dials", "--min-entropy", "0", "--temperature", "1"]
  await json(["train", ...source, ...small, "--lr", "0.001", "--reward", even, "--run", run])
}, 60_000)

interface Walked {
  readonly id: string
  readonly context: string
  readonly truth: string
  readonly learned: boolean
  readonly rollouts: ReadonlyArray<{
    readonly value: number
    readonly advantage: number
    readonly share: number | null
    readonly completion: string
    readonly policy: string
    readonly index: number
  }>
}

describe("foretoken replay", () => {
  it("walks the ledger: problems, rollouts, policy versions, verdicts, advantages, shares of the gradient", async () => {
    const { reward, steps, flaw } = await json(["replay", run])
    expect([reward, flaw]).toEqual(["even", ""])
    expect(steps.map(({ step }: { readonly step: number }) => step)).toEqual([1, 2])
    const metrics = readFileSync(join(run, "metrics.jsonl"), "utf8").trimEnd().split("\n")
    for (const [i, { policy, problems }] of steps.entries()) {
      const all: ReadonlyArray<Walked> = problems
      const rollouts = all.flatMap((problem) => problem.rollouts)
      expect([all.length, rollouts.length]).toEqual([6, 24])
      expect(policy.from).toMatch(/^[0-9a-f]{64}$/)
      expect(rollouts.every(({ policy: version }) => version === policy.from)).toBe(true)
      // What the run measured while it went.
      const mean = rollouts.reduce((sum, { value }) => sum + value, 0) / rollouts.length
      expect(mean).toBeCloseTo(JSON.parse(metrics[i])["reward/mean"], 12)
      for (const { rollouts } of all.filter(({ learned }) => learned)) {
        expect(rollouts.reduce((sum, { advantage }) => sum + advantage, 0)).toBeCloseTo(0, 9)
      }
      const shares = rollouts.flatMap(({ share }) => (share === null ? [] : [share]))
      expect(shares.reduce((sum, share) => sum + share, 0)).toBeCloseTo(1, 9)
    }
    expect(steps[1].policy.from).toBe(steps[0].policy.to)
    // The samples of a run are some of its rollouts.
    const samples = readFileSync(join(run, "samples.jsonl"), "utf8").trimEnd().split("\n")
    const sample = JSON.parse(samples[0])
    const asked: ReadonlyArray<Walked> = steps[0].problems
    const same = asked.find(({ id }) => id.endsWith(sample.problem))
    expect(same?.rollouts.find(({ index }) => index === sample.rollout)).toMatchObject({
      value: sample.reward,
      advantage: sample.advantage
    })
    expect(sample.context.endsWith(same?.context)).toBe(true)
  })

  it("changes nothing under the reward of the run itself", async () => {
    const replayed = await json(["replay", run, "--reward", even])
    expect(replayed).toMatchObject({
      under: "even",
      groups: 12,
      rollouts: 48,
      verdicts: { changed: 0 },
      advantages: { changed: 0, flipped: 0 },
      examples: []
    })
    expect(replayed.mean.after).toBe(replayed.mean.before)
  })

  it("flips every verdict and every advantage under the contrary reward, with examples", async () => {
    const { steps } = await json(["replay", run])
    const rollouts: ReadonlyArray<Walked["rollouts"][number]> = steps.flatMap(
      ({ problems }: { readonly problems: ReadonlyArray<Walked> }) => problems.flatMap(({ rollouts }) => rollouts)
    )
    const moving = rollouts.filter(({ advantage }) => advantage !== 0).length
    expect(moving).toBeGreaterThan(10)

    const replayed = await json(["replay", run, "--reward", odd, "--examples", "3"])
    expect(replayed.verdicts.changed).toBe(48)
    expect(replayed.advantages).toEqual({ changed: moving, flipped: moving })
    expect(replayed.mean.before + replayed.mean.after).toBeCloseTo(1, 12)
    expect(replayed.examples).toHaveLength(3)
    for (const { before, after, completion, truth, context } of replayed.examples) {
      expect(after.value).toBe(1 - before.value)
      expect(after.advantage).toBeCloseTo(-before.advantage, 9)
      expect([completion, truth, context].every((text) => typeof text === "string")).toBe(true)
    }
  })

  it("counts what the other reward cannot score as changed, and lets it leave its group", async () => {
    const { verdicts, examples, mean } = await json([
      "replay",
      run,
      "--reward",
      picky,
      "--step",
      "2",
      "--examples",
      "24"
    ])
    expect(mean.after).toBe(1)
    expect(verdicts.changed).toBeGreaterThanOrEqual(6)
    const left = examples.filter(
      ({ after }: { readonly after: { readonly value: number | null } }) => after.value === null
    )
    expect(left).toHaveLength(6)
    expect(left[0].after).toEqual({
      value: null,
      unscorable: "picky gave NaN, which is no finite number",
      advantage: null
    })
  })

  it("shows people a table and the flips", async () => {
    const alone = await inProcess(["replay", run, "--step", "1"])
    expect(alone.stdout).toMatch(/^step 1: policy [0-9a-f]{12} -> [0-9a-f]{12}\n/)
    expect(alone.stdout).toMatch(/rollout {2}policy .*even/)
    const flips = await inProcess(["replay", run, "--reward", odd])
    expect(flips.stdout).toMatch(/^48 rollouts in 12 groups, judged by even then and by odd now: 48 other verdicts/)
    expect(flips.stdout).toMatch(/ {2}then {8}reward [01], advantage/)
  })

  it("reads a ledger that was torn as far as it is whole, and says where it ends", async () => {
    const torn = join(root, "torn")
    cpSync(run, torn, { recursive: true })
    const segment = join(torn, "ledger", readdirSync(join(torn, "ledger")).toSorted().at(-1) ?? "")
    truncateSync(segment, Math.floor(statSync(segment).size * 0.6))
    const { steps, flaw } = await json(["replay", torn])
    expect(flaw).toMatch(/ledger/)
    expect(steps.length).toBeGreaterThan(0)
  })

  it("refuses what is no such run, what is no such step, what is no such reward", async () => {
    await refuses(["replay", join(root, "none")], /none.manifest\.json: no such file/)
    await refuses(["replay", run, "--step", "9"], /--step is 9; its ledger has the steps 1 to 2/)
    await refuses(["replay", run, "--reward", "kind"], /there is no reward "kind"/)
    await refuses(["replay"], /the argument run is missing/, 2)
    const plain = ["--objective", "ntp", "--model", "preset:nano", "--corpus", "dials", "--steps", "1"]
    await json(["train", ...plain, "--run", join(root, "ntp")])
    await refuses(["replay", join(root, "ntp")], /ntp: no run of reinforcement pre-training; only such a run has/)
  })
})
