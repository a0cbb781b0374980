import { execFileSync } from "node:child_process"
import { appendFileSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Effect, Option } from "effect"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { openJsonLines } from "../../src/run/JsonLines.ts"
import { encodeMetrics, metricNames, openMetrics, readMetrics } from "../../src/run/Metrics.ts"
import { openSamples } from "../../src/run/Samples.ts"
import type { Sample } from "../../src/run/Samples.ts"
import { Disk } from "../../src/storage/Disk.ts"
import { makeMemoryDisk } from "../../src/testing/memoryDisk.ts"
import { temporaryDirectory } from "../temporary.ts"

const root = temporaryDirectory()
let made = 0
const fresh = () => join(root, `${made++}.jsonl`)

const append = (path: string, lines: ReadonlyArray<unknown>) =>
  Effect.runPromise(Effect.result(Effect.scoped(Effect.flatMap(openJsonLines(path), (file) => file.append(lines)))))

describe("an append-only file of JSON lines", () => {
  it("holds all that was appended, in order, one line each, over any number of openings", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.array(fc.jsonValue(), { maxLength: 3 }), { maxLength: 4 }), async (openings) => {
        const path = fresh()
        writeFileSync(path, "")
        for (const lines of openings) await append(path, lines)
        const written = readFileSync(path, "utf8").split("\n").slice(0, -1)
        expect(written).toEqual(openings.flat().map((value) => JSON.stringify(value)))
      })
    )
  })

  it("loses a last line that a crash tore, and no other, however long", async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(3), fc.constantFrom(1, 100, 65_535, 65_536, 200_000), async (whole, torn) => {
        const path = fresh()
        const before = '{"x":1}\n'.repeat(whole)
        writeFileSync(path, before + "{".repeat(torn))
        await append(path, [2])
        expect(readFileSync(path, "utf8")).toBe(`${before}2\n`)
      })
    )
  })

  it.skipIf(process.platform === "win32")("keeps whole lines only where the disk takes no more", () => {
    const path = fresh()
    // A process that may not write past 1 KiB: the line of 2,000 bytes is cut at the limit, and must be taken back.
    const program = `
      import { Effect } from "effect"
      import { openJsonLines } from ${JSON.stringify(new URL("../../src/run/JsonLines.ts", import.meta.url).href)}
      const append = Effect.gen(function* () {
        const file = yield* openJsonLines(${JSON.stringify(path)})
        yield* file.append(["first"])
        const failed = yield* Effect.flip(file.append(["x".repeat(2000)]))
        yield* file.append(["last"])
        return failed.message
      })
      process.stdout.write(await Effect.runPromise(Effect.scoped(append)))`
    const node = [process.execPath, "--input-type=module", "-e", program]
    const output = execFileSync("bash", ["-c", 'ulimit -f 1; exec "$@"', "bash", ...node], {
      encoding: "utf8",
      cwd: import.meta.dirname
    })
    expect(output).toBe(`${path}: the file would pass the size limit; nothing was written`)
    expect(readFileSync(path, "utf8")).toBe('"first"\n"last"\n')
  })
})

it("lines that were synced survive a loss of power, and the file with them", async () => {
  const disk = makeMemoryDisk()
  disk.put("/run/manifest.json", new Uint8Array(1))
  const write = Effect.gen(function* () {
    const lines = yield* openJsonLines("/run/rows.jsonl")
    yield* lines.append([{ a: 1 }, { a: 2 }])
    yield* lines.sync
    yield* lines.append([{ a: 3 }])
  }).pipe(Effect.scoped, Effect.provideService(Disk, disk.boot()))
  await Effect.runPromise(write)
  disk.crash((unsynced) => Math.floor(unsynced / 2))
  const open = Effect.scoped(openJsonLines("/run/rows.jsonl")).pipe(Effect.provideService(Disk, disk.boot()))
  await Effect.runPromise(open)
  expect(new TextDecoder().decode(disk.files().get("/run/rows.jsonl"))).toBe('{"a":1}\n{"a":2}\n')
})

describe("a run that goes back to a step", () => {
  const rows = (steps: ReadonlyArray<number>) => steps.map((step) => ({ step, values: { loss: step / 8 } }))
  const open = (path: string, through?: number) =>
    Effect.runPromise(Effect.scoped(Effect.as(openMetrics(path, through), undefined)))

  it("keeps the rows up to it, loses those after, and a torn line with them", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 1, max: 9 })),
        fc.nat(10),
        fc.boolean(),
        async (given, through, torn) => {
          const path = fresh()
          const steps = given.toSorted((a, b) => a - b)
          const lines = rows(steps).map((row) => `${JSON.stringify(encodeMetrics(row))}\n`)
          writeFileSync(path, lines.join("") + (torn ? '{"step":1,"lo' : ""))
          await open(path, through)
          expect(await Effect.runPromise(readMetrics(path))).toEqual(rows(steps.filter((step) => step <= through)))
        }
      )
    )
  })

  it("loses no row that it is to keep to a damaged one before it, and says which was last", async () => {
    const path = fresh()
    const lines = rows([1, 2, 3, 4, 5]).map((row) => `${JSON.stringify(encodeMetrics(row))}\n`)
    for (const damaged of ["\u0000\n", '{"step":"2"\n', "null\n", "7\n"]) {
      const kept = [lines[0], damaged, lines[2], lines[3]].join("")
      writeFileSync(path, kept + lines[4])
      const last = await Effect.runPromise(Effect.scoped(Effect.map(openMetrics(path, 4), ({ last }) => last)))
      expect(last).toEqual(Option.some(rows([4])[0]))
      expect(readFileSync(path, "utf8")).toBe(kept)
    }
  })

  it("cuts samples as it cuts metrics; a run that goes back to no step keeps all", async () => {
    const path = fresh()
    const line = (step: number) => `${JSON.stringify({ step, problem: "0/a@1", rollout: 0 })}\n`
    writeFileSync(path, line(1) + line(1) + line(2))
    await open(path)
    expect(readFileSync(path, "utf8")).toBe(line(1) + line(1) + line(2))
    await Effect.runPromise(Effect.scoped(Effect.as(openSamples(path, 1), undefined)))
    expect(readFileSync(path, "utf8")).toBe(line(1) + line(1))
  })
})

describe("metrics.jsonl", () => {
  const name = fc.string().filter((name) => name !== "step" && name !== "nonFinite")
  const row = fc.record({ step: fc.nat(), values: fc.dictionary(name, fc.double()) })

  it("gives back every row as it was, NaN and infinities too", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(row, { maxLength: 5 }), async (rows) => {
        const path = fresh()
        const program = Effect.gen(function* () {
          const metrics = yield* openMetrics(path)
          for (const row of rows) {
            const expected = Object.keys(row.values).filter((name) => !Number.isFinite(row.values[name]))
            expect(yield* metrics.append(row)).toEqual(expected)
          }
        })
        await Effect.runPromise(Effect.scoped(program))
        const back = await Effect.runPromise(readMetrics(path))
        // JSON knows one zero.
        const plain = rows.map(({ step, values }) => ({
          step,
          values: Object.fromEntries(Object.entries(values).map(([name, value]) => [name, value + 0]))
        }))
        expect(back).toEqual(plain)
      })
    )
  })

  it("writes numbers that are none as null and names them", () => {
    const values = { [metricNames.rewardMean]: 0.5, [metricNames.approxKl]: NaN, grad_norm: -Infinity }
    expect(JSON.stringify(encodeMetrics({ step: 3, values }))).toBe(
      '{"step":3,"reward/mean":0.5,"approx_kl":null,"grad_norm":null,"nonFinite":{"approx_kl":"NaN","grad_norm":"-Infinity"}}'
    )
  })

  it("says which line is broken", async () => {
    const path = fresh()
    writeFileSync(path, '{"step":1}\n')
    appendFileSync(path, "{\n")
    const failure = await Effect.runPromise(Effect.flip(readMetrics(path)))
    expect(failure.message).toBe(`${path}: line 2 is not a line of metrics`)
  })
})

describe("samples.jsonl", () => {
  it("shows what a rollout said and what became of it, in a fixed order", async () => {
    const path = fresh()
    const sample: Sample = {
      step: 1,
      problem: "gsm8k:12:40",
      rollout: 0,
      context: "… turns it up 2",
      thought: "4 up 2 is 6",
      prediction: " 6",
      truth: " 6 .",
      outcome: "answered",
      reward: 1,
      parts: { prefixMatch: 1 },
      unscorable: null,
      advantage: 0.7,
      logprobMean: -0.1
    }
    const cut: Sample = { ...sample, rollout: 1, prediction: null, outcome: "truncated", advantage: null, reward: 0 }
    await Effect.runPromise(
      Effect.scoped(Effect.flatMap(openSamples(path), (samples) => samples.append([sample, cut])))
    )
    expect(readFileSync(path, "utf8")).toBe(`${JSON.stringify(sample)}\n${JSON.stringify(cut)}\n`)
  })
})
