// 07: a stage of your own, under simulation: both buffers are right as long as nothing crashes. One of them is right.
import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect } from "effect"
import { ReplayBuffer } from "@foretoken/core"
import type { Protocol } from "@foretoken/core"
import { simulate } from "@foretoken/core/testing"

type Unit = Protocol.Payload<ReplayBuffer.ReplayBufferProtocol, "Put">["unit"]

const handlers = (units: Map<number, Unit>) => ({
  Put: ({ unit }: { readonly unit: Unit }) => Effect.sync(() => void units.set(unit.index, unit)),
  Take: ({ step }: { readonly step: number }) =>
    Effect.sync(() => {
      const own = [...units.values()].filter((unit) => unit.step === step)
      return { units: own.toSorted((a, b) => a.index - b.index), stale: 0 }
    })
})

/** Its units live as long as an incarnation of the actor: a crash takes them along. */
const forgetful = (): ReplayBuffer.ReplayBufferStage => ({
  ...ReplayBuffer.make(),
  make: () => Effect.sync(() => handlers(new Map()))
})

/** Its units outlive the actor's crashes. The process's death they need not: a run is resumed from its disk. */
const lasting = (): ReplayBuffer.ReplayBufferStage => {
  const units = new Map<number, Unit>()
  return { ...ReplayBuffer.make(), make: () => Effect.succeed(handlers(units)) }
}

const tried = (buffer: typeof lasting) => {
  const { check, counts } = simulate(() => ({ buffer: buffer() }), { runs: 100, seed: 1 })
  const fine = () => `✔ ${buffer.name}: ${counts().schedules} schedules, ${counts().messages} messages`
  return Effect.promise(() => check().then(fine, ({ message }: Error) => `✖ ${buffer.name}: ${message}\n`))
}

NodeRuntime.runMain(Effect.forEach([forgetful, lasting], (buffer) => Effect.flatMap(tried(buffer), Console.log)))
