import { describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { routinesAsPrograms } from "../../src/routine/asPrograms.ts"
import { Backend } from "../../src/tensor/Backend.ts"
import { Reference } from "../../src/tensor/Reference.ts"
import { routineLaws } from "../../src/testing/backendLaws/routines.ts"

/** The reference as a device that has no memory of the host: its routines are programs. */
const asDevice = Layer.effect(
  Backend,
  Effect.gen(function* () {
    const reference = yield* Backend
    return { ...reference, apply: yield* routinesAsPrograms(reference) }
  })
).pipe(Layer.provide(Reference.layer))

describe("routines as graph programs", () => {
  it.layer(asDevice)((it) => {
    for (const { name, check } of routineLaws({ runs: 60, seed: 1 })) it.effect(name, () => check)
  })
})
