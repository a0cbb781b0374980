import { Actor, Protocol, Restart } from "@foretoken/core"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

const Echo = Protocol.make(Protocol.message("Echo", { payload: { value: Schema.Number }, success: Schema.Number }))

/** Seconds per message to an actor in this process, asked and answered one after the other. */
export const secondsPerMessage = Effect.fnUntraced(function* (count: number) {
  const actor = yield* Actor.spawn(Echo, {
    name: "echo",
    capacity: 16,
    restart: Restart.never,
    make: Effect.succeed({ Echo: ({ value }: { readonly value: number }) => Effect.succeed(value) })
  })
  const ask = (times: number) =>
    Effect.gen(function* () {
      for (let value = 0; value < times; value++) yield* actor.ask("Echo", { value })
    })
  yield* ask(count)
  const began = performance.now()
  yield* ask(count)
  return (performance.now() - began) / 1000 / count
}, Effect.scoped)
