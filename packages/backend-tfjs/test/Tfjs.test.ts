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
  })

  it.effect("takes the fastest device there is when none is asked for", () =>
    Effect.gen(function* () {
      const working = (yield* Tfjs.probe()).filter(({ status }) => status === "works")
      const backend = yield* Backend.pipe(Effect.provide(Tfjs.layer()))
      assert.strictEqual(backend.name, working[0].device)
    })
  )
})
