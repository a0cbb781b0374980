import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Cause from "effect/Cause"
import { TestClock } from "effect/testing"
import { failureOf, InputError, UsageError } from "../../packages/cli/src/failure.ts"
import { nodeProblem } from "../../packages/cli/src/nodeVersion.ts"
import { duration, makeProgress, progressLine } from "../../packages/cli/src/Progress.ts"
import { Streams } from "../../packages/cli/src/Streams.ts"
import { foretoken } from "./foretoken.ts"

describe("foretoken as a process", () => {
  it("writes its help to stdout, names every command, and exits with 0", async () => {
    const { code, stdout, stderr } = await foretoken(["--help"])
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
    for (const command of ["start", "train", "eval", "score", "sample", "backends"]) {
      expect(stdout).toMatch(new RegExp(`^  ${command} {2,}\\S`, "m"))
    }
  })

  it("exits with 2 where it was called wrongly, and keeps stdout clean", async () => {
    const finished = await foretoken(["score", "--ids", "1,2"])
    expect(finished).toEqual({
      code: 2,
      stdout: "",
      stderr: "foretoken: the flag --model is missing (see `foretoken score --help`)\n"
    })
  })

  it("lists every backend with what it takes to have it", async () => {
    const { code, stdout } = await foretoken(["backends", "--json"])
    expect(code).toBe(0)
    const { devices } = JSON.parse(stdout)
    const names: ReadonlyArray<string> = devices.map(({ device }: { device: string }) => device)
    expect(names).toEqual(expect.arrayContaining(["reference", "onnx:cpu", "onnx:cuda", "onnx:webgpu", "tfjs:wasm"]))
    expect(names.filter((name) => name.startsWith("tfjs:tensorflow")).length).toBeGreaterThan(0)
    for (const { status, detail, howToGetIt } of devices) {
      expect(["works", "missing"]).toContain(status)
      expect([detail, howToGetIt].every((text) => typeof text === "string" && text !== "")).toBe(true)
    }
  })
})

describe("what went wrong", () => {
  it("is one line, also where the message had several", () => {
    const cause = Cause.fail(new InputError({ message: "first\n  second\n" }))
    expect(failureOf(cause, false)).toEqual({ line: "foretoken: first second", exitCode: 1 })
  })

  it("tells misuse by exit code 2", () => {
    expect(failureOf(Cause.fail(new UsageError({ message: "no" })), false).exitCode).toBe(2)
  })

  it("tells a defect from a failure and hints at where the stack is", () => {
    const { line, exitCode } = failureOf(Cause.die(new TypeError("x is not a function")), false)
    expect(exitCode).toBe(1)
    expect(line).toBe(
      "foretoken: unexpected: x is not a function (this is a bug of Foretoken; FORETOKEN_DEBUG=1 shows where)"
    )
    expect(failureOf(Cause.die(new TypeError("x")), true).line).toContain("frame.test.ts")
  })

  it("says nothing of an interruption, which is the user's wish", () => {
    expect(failureOf(Cause.interrupt(), false)).toEqual({ line: "", exitCode: 130 })
  })
})

describe("the version of Node", () => {
  it("must be 22.19 or newer", () => {
    for (const version of ["22.19.0", "22.20.1", "24.0.0", "100.1.0"]) expect(nodeProblem(version)).toBe("none")
    for (const version of ["20.19.0", "22.18.9", "18.0.0"]) {
      expect(nodeProblem(version)).toContain(`this is Node ${version}, and Node 22.19 or newer is needed`)
    }
  })
})

describe("progress", () => {
  it("shows the amount, the rate and the time left", () => {
    const at = { title: "rpt", unit: "steps", total: 200, done: 3, ms: 2500, note: "" }
    expect(progressLine(at)).toBe("rpt 3/200 steps · 1.20 steps/s · 2 min 44 s left")
    expect(progressLine({ ...at, ms: 30_000 })).toBe("rpt 3/200 steps · 10.0 s/step · 32 min 50 s left")
    expect(progressLine({ ...at, total: "unknown" })).toBe("rpt 3 steps · 1.20 steps/s")
    expect(progressLine({ ...at, done: 0 })).toBe("rpt 0/200 steps")
  })

  it("tells durations as people do", () => {
    expect([400, 59_400, 60_000, 3_725_000].map(duration)).toEqual(["0 s", "59 s", "1 min 0 s", "1 h 2 min"])
  })

  const drawn = (columns: number | undefined) =>
    Effect.gen(function* () {
      let written = ""
      const streams = { out: () => {}, error: (text: string) => void (written += text), columns }
      yield* Effect.gen(function* () {
        const progress = yield* makeProgress({ title: "work", unit: "parts", total: 4 })
        yield* TestClock.adjust("2 seconds")
        yield* progress.print("a line")
        yield* progress.update(2)
      }).pipe(Effect.scoped, Effect.provideService(Streams, streams))
      return written
    })

  it.effect("draws one line over again on a terminal and clears it at the end", () =>
    Effect.map(drawn(80), (written) =>
      expect(written.replaceAll("\r\u001b[K", "|")).toBe("|work …|a line\n|work 2/4 parts · 1.00 parts/s · 2 s left|")
    )
  )

  it.effect("is silent in a pipe", () => Effect.map(drawn(undefined), (written) => expect(written).toBe("")))
})
