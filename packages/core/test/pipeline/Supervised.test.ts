import { readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber } from "effect"
import { Transport } from "../../src/actor/Transport.ts"
import * as Synthetic from "../../src/data/Synthetic.ts"
import { constant } from "../../src/optim/schedule.ts"
import { adamwRule } from "../../src/optim/settings.ts"
import * as Supervised from "../../src/pipeline/Supervised.ts"
import { Disk } from "../../src/storage/Disk.ts"
import { Reference } from "../../src/tensor/Reference.ts"
import { temporaryDirectory } from "../temporary.ts"
import { breaking, breakingMakes, breakingMessages, inVirtualTime, ways } from "./breaking.ts"
import type { Break } from "./breaking.ts"
import { isThere, jsonLines, policy } from "./fixtures.ts"
import { mortalDisk } from "./mortalDisk.ts"
import { threaded } from "./threaded.ts"

const directory = temporaryDirectory()
const at = (name: string) => join(directory, name)

const frame = { head: new Int32Array(0) }
const documentOf = (step: number) => Synthetic.document({ seed: 5, split: "train", index: step })
const options: Omit<Supervised.SupervisedOptions<never>, "run"> = {
  objective: "ntp",
  policy,
  optimizer: { rule: adamwRule({ learningRate: 0.01, beta2: 0.95 }), schedule: constant(1), maxNorm: 1 },
  batches: (step) => Effect.sync(() => [Supervised.nextTokenBatch(frame, [documentOf(step)])]),
  steps: 5,
  checkpointEvery: 2,
  timeLimit: "1 hour",
  seed: 7,
  about: { corpus: "dials" }
}
const train = (name: string, given: Partial<typeof options> = {}) =>
  Supervised.run({ ...options, ...given, run: at(name) })
const goOn = (name: string, given: Partial<Supervised.SupervisedResumeOptions<never>> = {}) =>
  Supervised.resume({ ...options, ...given, run: at(name) }).pipe(Effect.provide(Reference.layer))
const undisturbed = Effect.runSync(Effect.cached(Effect.provide(train("undisturbed"), Reference.layer)))

/** Rows without what depends on the clock and on deaths. */
const losses = (name: string) =>
  jsonLines(at(name), "metrics.jsonl").map(({ step, loss, grad_norm }) => ({ step, loss, grad_norm }))

const sameAsUndisturbed = Effect.fnUntraced(function* (
  name: string,
  { weightsHash }: { readonly weightsHash: string },
  aside: ReadonlyArray<string> = []
) {
  expect(weightsHash, name).toBe((yield* undisturbed).weightsHash)
  expect(losses(name), name).toEqual(losses("undisturbed"))
  expect(readdirSync(join(at(name), "checkpoints")), name).toEqual(["4", "5", ...aside])
})

describe("a training on given text whose learner fails", () => {
  const positions: Readonly<Record<string, (broken: Break) => ReturnType<typeof Transport.defaultValue>>> = {
    "making an update": (broken) => breakingMessages("Update", broken),
    "giving its state": (broken) => breakingMessages("State", broken),
    "coming to life": (broken) => breakingMakes("learner", broken)
  }
  for (const [position, transport] of Object.entries(positions)) {
    for (const way of ways) {
      it.effect(`once makes again what it has lost, to the same weights: ${position}, it ${way}`, () =>
        Effect.gen(function* () {
          const name = `once ${position} ${way}`
          // The second update lies between two checkpoints, and so does the fourth; the state is asked for three times.
          const fault = breaking(way, (call) => call === (position === "coming to life" ? 0 : 1))
          const life = Effect.provideService(train(name), Transport, transport(fault.broken))
          const result = yield* inVirtualTime(Effect.provide(life, Reference.layer))
          expect(fault.seen.broken).toBe(1)
          yield* sameAsUndisturbed(name, result)
          expect(result.metrics["actors/restarted"]).toBe(1)
        })
      )
    }

    for (const way of ["dies", "throws", "stalls"] as const) {
      it.effect(`from some time on ends with its cause, and can be gone on with: ${position}, it ${way}`, () =>
        Effect.gen(function* () {
          const name = `always ${position} ${way}`
          const first = position === "coming to life" ? 0 : 2
          const fault = breaking(way, (call) => call >= first)
          const life = Effect.provideService(train(name), Transport, transport(fault.broken))
          const error = yield* Effect.flip(inVirtualTime(Effect.provide(life, Reference.layer)))
          expect(["ActorCrashed", "ActorStopped"]).toContain(error._tag)
          expect(error.message).toMatch(way === "stalls" ? /no answer within/ : /a fault/)
          if (position === "coming to life") return expect(isThere(at(name))).toBe(false)
          const resumed = yield* goOn(name)
          expect(resumed.from).toBe(position === "making an update" ? 2 : 4)
          yield* sameAsUndisturbed(name, resumed)
        })
      )
    }
  }
})

describe("a training on given text on a thread", () => {
  for (const { what, program, after, how } of [
    { what: "an update between two checkpoints", program: "train", after: 3, how: "exit" },
    { what: "an update before any checkpoint", program: "train", after: 1, how: "memory" },
    { what: "an update without end", program: "train", after: 3, how: "forever" },
    { what: "the reading of its state", program: "read", after: 4, how: "exit" },
    { what: "the upload of its weights", program: "upload", after: 3, how: "exit" }
  ]) {
    it.live(`comes to the same weights when the thread ends in the middle of ${what}: ${how}`, () =>
      Effect.gen(function* () {
        const name = `${program}-${after}-${how}`
        const file = at(`${name}.count`)
        writeFileSync(file, String(after))
        const life = train(name, { timeLimit: "2 seconds" })
        const result = yield* Effect.provide(life, threaded({ breaksOnce: { program, how, file } }))
        expect(isThere(file), "it has not broken").toBe(false)
        expect(result.metrics["actors/restarted"]).toBe(1)
        yield* sameAsUndisturbed(name, result)
      })
    )
  }
})

describe("a training on given text that dies whole", () => {
  it.live("at any change of the disk goes on to the same weights", () =>
    Effect.gen(function* () {
      const { disk, changes } = yield* mortalDisk(Infinity)
      yield* Effect.provideService(Effect.provide(train("whole"), Reference.layer), Disk, disk)
      expect(changes.length).toBeGreaterThan(60)
      const resumedFrom = new Set<number>()
      for (let last = 0; last < changes.length; last += 15) {
        const name = `died-${last}`
        const mortal = yield* mortalDisk(last)
        const life = Effect.provideService(Effect.provide(train(name), Reference.layer), Disk, mortal.disk)
        expect(Exit.isFailure(yield* Effect.exit(life))).toBe(true)
        if (!isThere(join(at(name), "manifest.json"))) continue // nothing was begun
        const result = yield* goOn(name)
        resumedFrom.add(result.from)
        yield* sameAsUndisturbed(name, result)
        rmSync(at(name), { recursive: true })
      }
      expect(resumedFrom).toEqual(new Set([0, 2, 4]))
    })
  )

  it.live("or is interrupted: it leaves a checkpoint of its last step and goes on from there", () =>
    Effect.gen(function* () {
      const reached = yield* Deferred.make<void>()
      const onStep = ({ step }: { readonly step: number }) =>
        step === 3 ? Effect.andThen(Deferred.succeed(reached, undefined), Effect.never) : Effect.void
      const fiber = yield* Effect.forkChild(Effect.provide(train("stopped", { onStep }), Reference.layer))
      yield* Deferred.await(reached)
      yield* Fiber.interrupt(fiber)
      expect(readdirSync(join(at("stopped"), "checkpoints"))).toEqual(["2", "3"])
      const resumed = yield* goOn("stopped")
      expect(resumed).toMatchObject({ from: 3, hadEnded: false })
      yield* sameAsUndisturbed("stopped", resumed)
    })
  )

  it.live("and has a damaged checkpoint goes on from the one before, and says so; one that is done is left alone", () =>
    Effect.gen(function* () {
      const result = yield* Effect.provide(train("damaged"), Reference.layer)
      const done = { ...result, from: 5, hadEnded: true, seconds: expect.any(Number) }
      expect(yield* goOn("damaged")).toEqual(done)
      const file = join(at("damaged"), "checkpoints", "5", "optimizer.safetensors")
      const bytes = readFileSync(file)
      bytes[bytes.length >> 1] ^= 1
      writeFileSync(file, bytes)
      const said: Array<string> = []
      const resumed = yield* goOn("damaged", { say: (line) => Effect.sync(() => void said.push(line)) })
      expect(resumed).toMatchObject({ from: 4, hadEnded: false })
      expect(said).toEqual([expect.stringMatching(/optimizer\.safetensors: is damaged.*step 5 is passed over[^\n]*$/)])
      yield* sameAsUndisturbed("damaged", resumed, ["5.damaged"])
    })
  )

  it.live("is refused in one line where it is another training, or in another place", () =>
    Effect.gen(function* () {
      yield* Effect.provide(train("refused", { steps: 2 }), Reference.layer)
      const line = (given: Parameters<typeof goOn>[1]) =>
        Effect.map(Effect.flip(goOn("refused", { steps: 2, ...given })), ({ message }) =>
          message.replace(directory, "")
        )
      expect(yield* line({ about: { corpus: "another" } })).toBe(
        '/refused: cannot go on as it began: corpus was "dials" and is "another"'
      )
      expect(yield* line({ steps: 9 })).toBe("/refused: cannot go on as it began: steps was 2 and is 9")
      const manifest = join(at("refused"), "manifest.json")
      writeFileSync(manifest, readFileSync(manifest, "utf8").replace(/"cores": \d+/, '"cores": 999'))
      expect(yield* line({})).toMatch(/^\/refused: began elsewhere: the number of cores was 999 and is \d+; it can/)
      expect((yield* goOn("refused", { steps: 2, elsewhere: true })).hadEnded).toBe(true)
    })
  )

  it.live("is refused where it was to end by the clock, which no other life can do at the same step", () =>
    Effect.gen(function* () {
      yield* Effect.provide(train("timed", { stopAfterSeconds: 60 }), Reference.layer)
      const { message } = yield* Effect.flip(goOn("timed"))
      expect(message).toContain("stopAfterSeconds was 60 and is not there")
    })
  )
})
