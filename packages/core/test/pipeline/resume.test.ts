import { cpSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Option } from "effect"
import * as Corpus from "../../src/data/Corpus.ts"
import * as Optimizer from "../../src/pipeline/Optimizer.ts"
import type { Pipeline } from "../../src/pipeline/Pipeline.ts"
import * as Verifier from "../../src/pipeline/Verifier.ts"
import * as Reward from "../../src/reward/index.ts"
import * as Loss from "../../src/rl/loss.ts"
import { audit, live, readLedger } from "../../src/run/Ledger.ts"
import type { LedgerRecord } from "../../src/run/Ledger.ts"
import { Disk } from "../../src/storage/Disk.ts"
import { temporaryDirectory } from "../temporary.ts"
import { dials, isThere, jsonLines, pipelineOf, resume, run } from "./fixtures.ts"
import { mortalDisk } from "./mortalDisk.ts"

const directory = temporaryDirectory()
const at = (name: string) => join(directory, name)

const problems = dials.pipe(
  Corpus.nextToken({ minEntropy: 0.5, minimumContext: 8, positionsPerDocument: 1, maxTokens: 24 })
)
/** 2 problems a step: little work, and every kind of record. */
const small = (given: Parameters<typeof pipelineOf>[0] = {}) =>
  pipelineOf({ problems, batch: { documentsPerStep: 2, documentsPerUnit: 1, shuffleBuffer: 8 }, ...given })
const ahead = (lag: number) =>
  small({ lag, optimizer: Optimizer.make({ learningRate: 0.01, loss: Loss.truncated({ cap: 2 }) }) })
const options = { steps: 4, checkpointEvery: 1 }

/** Rows without what depends on the clock. */
const timeless = (name: string) =>
  jsonLines(at(name), "metrics.jsonl").map((row) =>
    Object.fromEntries(
      Object.entries(row).filter(([key]) => !/^(seconds|timer_lag|steps\/waiting|actors\/queued)/.test(key))
    )
  )

/** What a run that went through deaths has to have in common with one that did not. */
const sameAs = (whole: string, name: string) =>
  Effect.gen(function* () {
    expect(timeless(name), name).toEqual(timeless(whole))
    const samples = (of: string) => readFileSync(join(at(of), "samples.jsonl"), "utf8")
    expect(samples(name), name).toBe(samples(whole))
    expect(readdirSync(join(at(name), "checkpoints"))).toEqual(readdirSync(join(at(whole), "checkpoints")))
    const [own, other] = [yield* readLedger(join(at(name), "ledger")), yield* readLedger(join(at(whole), "ledger"))]
    expect(own.flaw).toEqual(Option.none())
    expect(audit(live(own.records)), name).toEqual(audit(live(other.records)))
    expect(audit(live(own.records)).violations).toEqual([])
  })

const kindOf = (path: string) => /\/(ledger|checkpoints)\//.exec(path)?.[1] ?? "run"

/** Lets a run die at its `last`th change of the disk, then others that go on with it as `deaths` says; and ends it. */
const throughDeaths = Effect.fnUntraced(function* (
  pipeline: Pipeline,
  name: string,
  deaths: ReadonlyArray<number>,
  samplers: number,
  begin: typeof options = options
) {
  const died: Array<string> = []
  const mortal = <A, E>(last: number, life: Effect.Effect<A, E>) =>
    Effect.gen(function* () {
      const { disk, changes } = yield* mortalDisk(last)
      const exit = yield* Effect.exit(Effect.provideService(life, Disk, disk))
      if (Exit.isFailure(exit)) died.push(`${changes[changes.length - 1].call} ${changes[changes.length - 1].path}`)
    })
  const begun = () => isThere(join(at(name), "manifest.json"))
  for (const last of deaths) {
    yield* begun()
      ? mortal(last, resume(pipeline, { run: at(name), samplers }))
      : mortal(last, run(pipeline, { ...begin, run: at(name), samplers }))
  }
  const ended = yield* begun()
    ? resume(pipeline, { run: at(name), samplers })
    : run(pipeline, { ...options, run: at(name), samplers })
  return { weightsHash: ended.weightsHash, died }
})

/** A run that is stopped once it has made so many steps. */
const interruptedAfter = <A, E>(
  steps: number,
  life: (onStep: (report: { readonly step: number }) => Effect.Effect<void>) => Effect.Effect<A, E>
) =>
  Effect.gen(function* () {
    const reached = yield* Deferred.make<void>()
    const onStep = ({ step }: { readonly step: number }) =>
      step === steps ? Effect.asVoid(Deferred.succeed(reached, undefined)) : Effect.void
    const fiber = yield* Effect.forkChild(life(onStep))
    yield* Deferred.await(reached)
    yield* Fiber.interrupt(fiber)
  })

/** The last step that a ledger knew of before its records were lost. */
const lastKnown = (records: ReadonlyArray<LedgerRecord>) => {
  const until = records.findIndex((record) => record._tag === "resumed" && record.regained !== undefined)
  return Math.max(0, ...records.slice(0, until).map((record) => (record._tag === "update" ? record.step : 0)))
}

describe("a run that dies", () => {
  for (const { lag, samplers } of [
    { lag: 0, samplers: 1 },
    { lag: 1, samplers: 3 },
    { lag: 2, samplers: 1 }
  ]) {
    it.live(`at any change of the disk goes on to the same weights, at lag ${lag} with ${samplers} samplers`, () =>
      Effect.gen(function* () {
        const pipeline = lag === 0 ? small() : ahead(lag)
        const whole = `whole-${lag}-${samplers}`
        const { disk, changes } = yield* mortalDisk(Infinity)
        const undisturbed = yield* Effect.provideService(run(pipeline, { ...options, run: at(whole) }), Disk, disk)
        expect(changes.length).toBeGreaterThan(150)
        const kinds = new Set<string>()
        // All of them take a minute: resume.long.test.ts.
        const own = (kind: string, every: number) =>
          [...changes.entries()].filter(([, { path }]) => kindOf(path) === kind).filter((_, i) => i % every === lag)
        for (const [last] of [...own("run", 5), ...own("ledger", 12), ...own("checkpoints", 50)]) {
          const name = `died-${lag}-${last}`
          const { weightsHash, died } = yield* throughDeaths(pipeline, name, [last], samplers)
          expect(died).toHaveLength(1)
          kinds.add(kindOf(died[0]))
          expect(weightsHash, died[0]).toBe(undisturbed.weightsHash)
          yield* sameAs(whole, name)
          rmSync(at(name), { recursive: true })
        }
        expect(kinds).toEqual(new Set(["ledger", "checkpoints", "run"]))
      })
    )
  }

  // At a lag of 3 or 4 checkpoints also hold the policies that steps are yet to be sampled with.
  for (const lag of [1, 3, 4]) {
    it.live(`again and again, also while it goes on, goes on to the same weights, at lag ${lag}`, () =>
      Effect.gen(function* () {
        const pipeline = ahead(lag)
        const begin = { ...options, steps: lag + 3 }
        const whole = `once-${lag}`
        const undisturbed = yield* run(pipeline, { ...begin, run: at(whole) })
        const deaths = [70 + 40 * lag, 3, 40, 0, 55, 20, 9]
        const { weightsHash, died } = yield* throughDeaths(pipeline, `often-${lag}`, deaths, 2, begin)
        expect(died).toHaveLength(deaths.length)
        expect(weightsHash).toBe(undisturbed.weightsHash)
        yield* sameAs(whole, `often-${lag}`)
      })
    )
  }
})

describe("resume", () => {
  it.live(
    "goes on with what else outlives a step: dynamic sampling, the best checkpoint, the baseline of a reward",
    () =>
      Effect.gen(function* () {
        const gain = Verifier.make(Reward.informationGain(), { decay: 0.5 })
        const measure = ({ updates }: { readonly updates: number }) => Effect.succeed(1 / (1 + Math.abs(updates - 2)))
        const pipeline = small({
          verifier: gain,
          dynamicSampling: { fromStep: 1, maxAttempts: 2, minGroups: 1 },
          validation: [{ metric: "accuracy", every: 1, measure }]
        })
        const undisturbed = yield* run(pipeline, { ...options, run: at("rich") })
        expect(undisturbed.best.step).toBeLessThan(4)
        for (const last of [60, 150]) {
          const { weightsHash } = yield* throughDeaths(pipeline, `rich-${last}`, [last], 1)
          expect(weightsHash).toBe(undisturbed.weightsHash)
          yield* sameAs("rich", `rich-${last}`)
        }
      })
  )

  it.live("says that a run is done, what it came to, and leaves it as it is", () =>
    Effect.gen(function* () {
      const result = yield* run(small(), { ...options, run: at("done") })
      const before = readFileSync(join(at("done"), "ledger", "000000.ledger"))
      expect(yield* resume(small(), { run: at("done") })).toEqual({ ...result, from: 4, hadEnded: true })
      expect(readFileSync(join(at("done"), "ledger", "000000.ledger"))).toEqual(before)
    })
  )

  it.live("falls back to the checkpoint before a damaged one, and says so in a line", () =>
    Effect.gen(function* () {
      const result = yield* run(small(), { ...options, run: at("damaged") })
      const file = join(at("damaged"), "checkpoints", "4", "model.safetensors")
      const bytes = readFileSync(file)
      bytes[bytes.length >> 1] ^= 1
      writeFileSync(file, bytes)
      const said: Array<string> = []
      const say = (line: string) => Effect.sync(() => void said.push(line))
      const again = yield* resume(small(), { run: at("damaged"), say })
      expect(again).toMatchObject({ weightsHash: result.weightsHash, from: 3, hadEnded: false })
      expect(said).toEqual([expect.stringMatching(/model\.safetensors: is damaged.*step 4 is passed over[^\n]*$/)])
      // It is set aside and not thrown away: someone may want what is whole of it.
      expect(readdirSync(join(at("damaged"), "checkpoints"))).toEqual(["3", "4", "4.damaged"])
      expect(readFileSync(join(at("damaged"), "checkpoints", "4.damaged", "model.safetensors"))).toEqual(bytes)
    })
  )

  it.live("loses records where its ledger is damaged, never a step that a checkpoint has", () =>
    Effect.gen(function* () {
      // In the header, or no ledger at all; in the middle of a run whose steps are sampled ahead.
      for (const [lag, damages] of [
        [0, ["header", "missing"]],
        [2, ["middle"]]
      ] as const) {
        const pipeline = lag === 0 ? small() : ahead(lag)
        const begin = { steps: 8, checkpointEvery: 2 }
        const name = `flipped-${lag}`
        const undisturbed = yield* run(pipeline, { ...begin, run: at(`unflipped-${lag}`) })
        yield* interruptedAfter(5, (onStep) => run(pipeline, { ...begin, run: at(name), onStep }))
        const newest = Math.max(...readdirSync(join(at(name), "checkpoints")).map(Number))
        const path = join(at(name), "ledger", "000000.ledger")
        const whole = readFileSync(path)
        for (const damage of damages) {
          const copy = `${name}-${damage}`
          cpSync(at(name), at(copy), { recursive: true })
          const ledger = join(at(copy), "ledger")
          if (damage === "missing") rmSync(ledger, { recursive: true })
          const byte = damage === "header" ? 9 : whole.length >> 1
          if (damage !== "missing") writeFileSync(join(ledger, "000000.ledger"), whole.with(byte, whole[byte] ^ 1))
          const said: Array<string> = []
          const say = (line: string) => Effect.sync(() => void said.push(line))
          const resumed = yield* resume(pipeline, { run: at(copy), say })
          expect(resumed, copy).toMatchObject({ from: newest, weightsHash: undisturbed.weightsHash })
          expect(said.at(-1)).toMatch(
            new RegExp(`ledger: nothing whole is left of steps after \\d+; the checkpoint of step ${newest} is whole`)
          )
          expect(said).toHaveLength(damage === "missing" ? 1 : 2)
          expect(timeless(copy)).toEqual(timeless(`unflipped-${lag}`))
          const { records } = yield* readLedger(ledger)
          const found = audit(live(records))
          expect(found, copy).toMatchObject({ violations: [], lost: newest - lastKnown(records), oldest: lag })
          // Every problem once: the records of those that are left are of the units that come next.
          const all = audit(live((yield* readLedger(join(at(`unflipped-${lag}`), "ledger"))).records))
          expect(found.problems).toBeLessThan(all.problems)
          // And back behind what was lost, when the checkpoints since are damaged in their turn.
          for (const step of readdirSync(join(at(copy), "checkpoints"))) {
            if (Number(step) >= newest) rmSync(join(at(copy), "checkpoints", step, "model.safetensors"))
          }
          const back = yield* resume(pipeline, { run: at(copy), say })
          expect(back.from).toBeLessThan(newest)
          expect(back.weightsHash).toBe(undisturbed.weightsHash)
          const behind = audit(live((yield* readLedger(ledger)).records))
          expect(behind.violations, copy).toEqual([])
          expect(behind.lost).toBe(Math.max(0, back.from - lastKnown(records)))
        }
      }
    })
  )

  it.live("refuses in one line what is no run, another pipeline, and another place", () =>
    Effect.gen(function* () {
      yield* Effect.exit(
        Effect.flatMap(mortalDisk(60), ({ disk }) =>
          Effect.provideService(run(small(), { ...options, run: at("began") }), Disk, disk)
        )
      )
      const line = (pipeline: Pipeline, name = "began") =>
        Effect.map(Effect.flip(resume(pipeline, { run: at(name) })), ({ message }) => {
          expect(message).not.toContain("\n")
          return message.replace(directory, "")
        })
      expect(yield* line(small(), "nowhere")).toBe("/nowhere/manifest.json: no such file or directory")
      expect(yield* line(small({ optimizer: Optimizer.make({ learningRate: 0.02 }) }))).toBe(
        "/began: cannot go on as it began: optimizer.rule.adamw.learningRate was 0.01 and is 0.02"
      )
      expect(yield* line(ahead(1))).toBe("/began: cannot go on as it began: lag was 0 and is 1")
      const manifest = join(at("began"), "manifest.json")
      const text = readFileSync(manifest, "utf8")
      writeFileSync(
        manifest,
        text.replace(/"backend": ".*"/, '"backend": "onnx:cpu"').replace(/"cores": \d+/, '"cores": 999')
      )
      expect(yield* line(small())).toMatch(
        /^\/began: began elsewhere: the backend was onnx:cpu and is reference, the number of cores was 999 and is \d+; it can/
      )
      writeFileSync(manifest, text.replace('"startedAt": "', '"startedAt": "1'))
      expect(yield* line(small())).toBe("/began: manifest.json is not the one that the run began with")
      writeFileSync(manifest, text)
      expect((yield* resume(small(), { run: at("began") })).hadEnded).toBe(false)
    })
  )

  it.live("goes on elsewhere where that is wanted, and the ledger says so", () =>
    Effect.gen(function* () {
      const immortal = yield* mortalDisk(Infinity)
      yield* Effect.provideService(run(small(), { steps: 0, seed: 7, run: at("unmoved") }), Disk, immortal.disk)
      const begins = immortal.changes.findIndex(({ path }) => kindOf(path) === "ledger")
      const { disk } = yield* mortalDisk(begins)
      yield* Effect.exit(Effect.provideService(run(small(), { ...options, run: at("moved") }), Disk, disk))
      const manifest = join(at("moved"), "manifest.json")
      const text = readFileSync(manifest, "utf8").replace(/"processor": ".*"/, '"processor": "another"')
      writeFileSync(manifest, text)
      // It died before the ledger began, so that the manifest may be any.
      expect((yield* readLedger(join(at("moved"), "ledger"))).records).toEqual([])
      const { steps } = yield* resume(small(), { run: at("moved"), elsewhere: true })
      expect(steps).toBe(4)
      const { records } = yield* readLedger(join(at("moved"), "ledger"))
      const resumed = records.find(({ _tag }) => _tag === "resumed")
      expect(resumed).toMatchObject({ step: 0, differs: [expect.stringMatching(/^the processor was another and is /)] })
    })
  )
})

describe("a run that is interrupted", () => {
  it.live("leaves a checkpoint of its last step and goes on from there to the same weights", () =>
    Effect.gen(function* () {
      const undisturbed = yield* run(small(), { run: at("patient"), steps: 4 })
      for (const stopAfter of [1, 3]) {
        const name = `stopped-${stopAfter}`
        yield* interruptedAfter(stopAfter, (onStep) => run(small(), { run: at(name), steps: 4, onStep }))
        const { records } = yield* readLedger(join(at(name), "ledger"))
        expect(records.at(-1)).toMatchObject({ _tag: "ended", how: "stopped" })
        const resumed = yield* resume(small(), { run: at(name) })
        expect(resumed.from).toBeGreaterThanOrEqual(stopAfter)
        expect(resumed.weightsHash).toBe(undisturbed.weightsHash)
      }
    })
  )
})

describe("a lag", () => {
  it.live("learns from rollouts of the policy so many steps before, whatever the number of samplers", () =>
    Effect.gen(function* () {
      const hashes = new Set<string>()
      for (const lag of [1, 2, 4]) {
        const [first, ...others] = yield* Effect.forEach([1, 3], (samplers) =>
          run(ahead(lag), { run: at(`lag-${lag}-${samplers}`), steps: 7, samplers })
        )
        for (const { weightsHash } of others) expect(weightsHash).toBe(first.weightsHash)
        hashes.add(first.weightsHash)
        const ages = jsonLines(at(`lag-${lag}-3`), "metrics.jsonl").map((row) => row["policy_age"])
        expect(ages).toEqual([0, 1, 2, 3, 4, 5, 6].map((step) => Math.min(step, lag)))
        const { records } = yield* readLedger(join(at(`lag-${lag}-3`), "ledger"))
        expect(audit(live(records))).toMatchObject({ violations: [], updates: 7, unfinished: 0, oldest: lag })
      }
      hashes.add((yield* run(ahead(0), { run: at("lag-0"), steps: 7 })).weightsHash)
      expect(hashes.size).toBe(4)
    })
  )

  it.live("samples while it learns", () =>
    Effect.gen(function* () {
      const { make, ...stage } = ahead(1).optimizer
      const slow: Optimizer.OptimizerStage = {
        ...stage,
        make: (context, store) =>
          Effect.map(make(context, store), ({ Update }) => ({
            Update: (request) => Effect.delay(Update(request), "50 millis")
          }))
      }
      yield* run(small({ lag: 1, optimizer: slow }), { run: at("overlap"), steps: 4 })
      const { records } = yield* readLedger(join(at("overlap"), "ledger"))
      const place = (tag: string, step: number) =>
        records.findIndex((record) => record._tag === tag && "step" in record && record.step === step)
      expect(place("rollout", 3)).toBeLessThan(place("update", 2))
      expect(place("rollout", 4)).toBeGreaterThan(place("update", 2))
    })
  )

  it.live("is refused with a loss, an age or a capacity that it does not go with", () =>
    Effect.gen(function* () {
      const refused = (given: Parameters<typeof pipelineOf>[0]) =>
        Effect.map(Effect.flip(run(small({ lag: 1, ...given }), { run: at("refused") })), ({ message }) => message)
      const truncated = Optimizer.make({ loss: Loss.truncated({ cap: 2 }) })
      expect(yield* refused({ lag: 5 })).toBe("lag: 5 given; an integer from 0 to 4 was expected")
      expect(yield* refused({})).toBe(
        "loss: Clipped given; Truncated, because with a lag of 1 rollouts are of an older policy, was expected"
      )
      const { protocol, make, settings } = small().buffer
      const buffer = (part: Partial<typeof settings>) => ({ protocol, make, settings: { ...settings, ...part } })
      expect(yield* refused({ optimizer: truncated, buffer: buffer({ maxPolicyAge: 0 }) })).toBe(
        "maxPolicyAge: 0 given; at least the lag, 1, was expected"
      )
      expect(yield* refused({ optimizer: truncated, buffer: buffer({ capacity: 3 }) })).toBe(
        "capacity: 3 given; at least 4, the groups of 2 steps, was expected"
      )
    })
  )
})
