import { execFileSync } from "node:child_process"
import { assert, describe, it } from "@effect/vitest"
import { Backend } from "@foretoken/core"
import * as Effect from "effect/Effect"
import { Tfjs } from "../src/index.ts"
import { onEveryDevice } from "./devices.ts"

describe("Tfjs", () => {
  it.effect("reports every device as working, or as missing with what would get it", () =>
    Effect.gen(function* () {
      const probes = yield* Tfjs.probe()
      assert.strictEqual(probes.length, 2)
      for (const probe of probes) {
        assert.isNotEmpty(probe.detail)
        if (probe.status === "missing") assert.isNotEmpty(probe.howToGetIt)
      }
      assert.deepInclude(probes, { device: "tfjs:wasm", status: "works", detail: "WebAssembly, one thread, SIMD on" })
    })
  )

  onEveryDevice((device, name) => {
    it.effect("shows in the backend's name what runs", () =>
      Effect.gen(function* () {
        const backend = yield* Backend
        assert.strictEqual(backend.name, name)
      }).pipe(Effect.provide(Tfjs.layer({ device })))
    )

    if (device !== "tensorflow") return
    it.effect("refuses a second precision in one process, and says so", () =>
      Effect.gen(function* () {
        const problem = yield* Effect.flip(
          Backend.pipe(Effect.provide(Tfjs.layer({ device: "tensorflow", fpmath: "bf16" })))
        )
        assert.strictEqual(
          problem.message,
          "tfjs:tensorflow: libtensorflow runs with fpmath f32 in this process; take fpmath bf16 in a process of its own"
        )
      })
    )

    it("runs with bf16 where that was asked for first, and its name shows it", () => {
      const program = `
        import { Backend } from "@foretoken/core"
        import * as Effect from "effect/Effect"
        import { Tfjs } from "@foretoken/backend-tfjs"
        const layer = Tfjs.layer({ device: "tensorflow", fpmath: "bf16" })
        console.log((await Effect.runPromise(Effect.provide(Backend, layer))).name, process.env.TF_SET_ONEDNN_FPMATH_MODE)`
      const node = ["-C", "@foretoken/source", "--input-type=module", "-e", program]
      const shown = execFileSync(process.execPath, node, { cwd: import.meta.dirname, encoding: "utf8", stdio: "pipe" })
      assert.match(shown, /^tfjs:tensorflow(-gpu)?:bf16 BF16$/m)
    })
  })

  it.effect("takes the fastest device there is when none is asked for", () =>
    Effect.gen(function* () {
      const working = (yield* Tfjs.probe()).filter(({ status }) => status === "works")
      const backend = yield* Backend.pipe(Effect.provide(Tfjs.layer()))
      assert.strictEqual(backend.name, working[0].device)
    })
  )
})
