import { it } from "@effect/vitest"
import { laws } from "@foretoken/core/testing"
import * as Effect from "effect/Effect"
import { Tfjs } from "../src/index.ts"
import { onEveryDevice } from "./devices.ts"

onEveryDevice((device) => {
  for (const { name, check } of laws.backend()) it.effect(name, () => Effect.provide(check, Tfjs.layer({ device })))
})
