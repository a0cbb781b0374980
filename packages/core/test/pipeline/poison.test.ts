import { join } from "node:path"
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import type { Unit } from "../../src/pipeline/messages.ts"
import { countInARow, TooManySetAside } from "../../src/pipeline/poison.ts"
import * as Sampler from "../../src/pipeline/Sampler.ts"
import * as Verifier from "../../src/pipeline/Verifier.ts"
import * as Reward from "../../src/reward/Reward.ts"
import { audit, live, readLedger } from "../../src/run/Ledger.ts"
import { Disk } from "../../src/storage/Disk.ts"
import { temporaryDirectory } from "../temporary.ts"
import { jsonLines, pipelineOf, resume, run } from "./fixtures.ts"
import { mortalDisk } from "./mortalDisk.ts"

const directory = temporaryDirectory()
const at = (name: string) => join(directory, name)
const ledgerOf = (name: string) =>
  Effect.map(readLedger(join(at(name), "ledger")), ({ records }) => ({
    audit: audit(live(records)),
    aside: live(records).filter((record) => record._tag === "aside"),
    tags: records.map(({ _tag }) => _tag)
  }))

/** A sampler that some units kill, and how often they did. */
const allergic = (kills: (unit: Unit) => boolean) => {
  const { protocol, settings, make } = Sampler.make({ groupSize: 3, temperature: 1, maxTokens: 6 })
  const deaths: Array<number> = []
  const sampler: Sampler.SamplerStage = {
    protocol,
    settings,
    make: (context) =>
      Effect.map(make(context), ({ Sync, Sample }) => ({
        Sync,
        Sample: (request) => {
          if (!kills(request.unit)) return Sample(request)
          deaths.push(request.unit.index)
          throw new Error("cannot read\nthis document")
        }
      }))
  }
  return { sampler, deaths }
}

/** Steps have four units. */
const third = ({ index }: { readonly index: number }) => index === 2

describe("a unit that crashes its actor twice", () => {
  it.live("is set aside with its cause and counted; the step learns from the rest, whoever sampled it", () =>
    Effect.gen(function* () {
      const hashes = new Set<string>()
      for (const samplers of [1, 3]) {
        const name = `sampling-${samplers}`
        const { sampler, deaths } = allergic(third)
        const { weightsHash, metrics } = yield* run(pipelineOf({ sampler }), { run: at(name), steps: 3, samplers })
        hashes.add(weightsHash)
        expect(deaths).toEqual([2, 2])
        expect(metrics["actors/restarted"]).toBe(2)
        const rows = jsonLines(at(name), "metrics.jsonl")
        expect(rows.map((row) => [row["problems/aside"], row["groups/sampled"]])).toEqual([
          [2, 6],
          [0, 8],
          [0, 8]
        ])
        const { audit, aside } = yield* ledgerOf(name)
        expect(audit).toMatchObject({ violations: [], problems: 24, aside: 2, rollouts: 66, unfinished: 0 })
        expect(aside).toMatchObject([{ step: 1, unit: 2, during: "sampling" }])
        expect(aside[0].cause).toMatch(/^actor sampler-\d crashed on Sample: Error: cannot read/)
        expect(aside[0].cause).not.toContain("\n")
      }
      expect(hashes.size).toBe(1)
      hashes.add((yield* run(pipelineOf(), { run: at("healthy"), steps: 3 })).weightsHash)
      expect(hashes.size).toBe(2)
    })
  )

  it.live("is set aside by the verifier, too", () =>
    Effect.gen(function* () {
      const own = Verifier.make(Reward.pure("length", ({ rollout }) => rollout.index))
      let verified = 0
      const verifier: Verifier.VerifierStage = {
        ...own,
        make: (context) =>
          Effect.map(own.make(context), ({ Verify }) => ({
            Verify: (request) => (++verified < 3 ? Effect.die(new Error("no")) : Verify(request))
          }))
      }
      yield* run(pipelineOf({ verifier }), { run: at("verifying"), steps: 1 })
      const { audit, aside } = yield* ledgerOf("verifying")
      expect(audit).toMatchObject({ violations: [], problems: 8, aside: 2, rollouts: 18 })
      expect(aside).toMatchObject([{ step: 1, unit: 0, during: "verifying" }])
    })
  )

  it.live("may leave a step with nothing to learn from", () =>
    Effect.gen(function* () {
      const batch = { documentsPerStep: 1, documentsPerUnit: 1, shuffleBuffer: 8 }
      const { sampler } = allergic(({ index }) => index === 0)
      yield* run(pipelineOf({ sampler, batch }), { run: at("nothing"), steps: 2 })
      const rows = jsonLines(at("nothing"), "metrics.jsonl")
      expect(rows).toMatchObject([
        { "problems/aside": 2, "update/skipped": 1, "reward/mean": 0 },
        { "problems/aside": 0 }
      ])
      expect(rows[0]).not.toHaveProperty("nonFinite")
      expect((yield* ledgerOf("nothing")).audit).toMatchObject({ violations: [], aside: 2, updates: 1 })
    })
  )

  it.live("ends the run where it is one of four in a row: then it is not the units", () =>
    Effect.gen(function* () {
      const { sampler, deaths } = allergic(() => true)
      const error = yield* Effect.flip(run(pipelineOf({ sampler }), { run: at("all"), samplers: 2 }))
      expect(error).toMatchObject({ _tag: "TooManySetAside", units: 4 })
      expect(error.message).toMatch(/^4 units in a row were set aside, .*cannot read/)
      expect(deaths.length).toBe(8)
      expect((yield* ledgerOf("all")).tags.at(-1)).toBe("ended")
    })
  )

  it("is one of a row only if none between them was sampled", () => {
    const aside = { during: "sampling", cause: "x" } as const
    expect(countInARow(0, [aside, aside, aside])).toBe(3)
    expect(countInARow(2, [aside, "verified", aside])).toBe(1)
    expect(countInARow(3, ["verified"])).toBe(0)
    expect(countInARow(3, [aside])).toBeInstanceOf(TooManySetAside)
  })

  it.live(
    "stays aside in a run that goes on from before it, if an update went without it; else it is tried again",
    () =>
      Effect.gen(function* () {
        const options = { steps: 3, checkpointEvery: 10 }
        const undisturbed = yield* run(pipelineOf({ sampler: allergic(third).sampler }), {
          ...options,
          run: at("poison")
        })
        const healthy = yield* run(pipelineOf(), { ...options, run: at("health") })
        const immortal = yield* mortalDisk(Infinity)
        const first = pipelineOf({ sampler: allergic(third).sampler })
        yield* Effect.provideService(run(first, { ...options, run: at("counted") }), Disk, immortal.disk)
        const appends = immortal.changes.flatMap(({ call, path }, i) =>
          call === "write" && path.includes("/ledger/") ? [i] : []
        )
        // header, begun, four units, batch, update, and then those of the second step.
        for (const [name, last, comesTo] of [
          ["before", appends[6], healthy],
          ["after", appends[9], undisturbed]
        ] as const) {
          const { disk } = yield* mortalDisk(last)
          const poisoned = pipelineOf({ sampler: allergic(third).sampler })
          const died = yield* Effect.flip(
            Effect.provideService(run(poisoned, { ...options, run: at(name) }), Disk, disk)
          )
          expect(died.message).toMatch(/dead/)
          // Whatever it was about the unit is gone.
          const { sampler, deaths } = allergic(() => false)
          const resumed = yield* resume(pipelineOf({ sampler }), { run: at(name) })
          expect(resumed).toMatchObject({ from: 0, weightsHash: comesTo.weightsHash })
          expect(deaths).toEqual([])
          const { audit } = yield* ledgerOf(name)
          expect(audit).toMatchObject({ violations: [], aside: name === "after" ? 2 : 0 })
        }
      })
  )
})
