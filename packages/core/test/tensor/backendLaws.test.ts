import { describe, it } from "@effect/vitest"
import { Reference } from "@foretoken/core"
import { laws } from "@foretoken/core/testing"
import { Effect } from "effect"

describe("the reference", () => {
  for (const law of laws.backend({ runs: 12 })) {
    it.effect(law.name, () => law.check.pipe(Effect.provide(Reference.layer)))
  }
})
