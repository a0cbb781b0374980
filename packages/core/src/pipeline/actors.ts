import { Effect } from "effect"
import * as Restart from "../actor/Restart.ts"
import * as Supervisor from "../actor/Supervisor.ts"
import type { Weights } from "../model/weights.ts"
import type { LearnerState } from "../optim/Learner.ts"
import { Backend } from "../tensor/Backend.ts"
import { onThread } from "./onThread.ts"
import type { Pipeline } from "./Pipeline.ts"
import * as PolicyStore from "./PolicyStore.ts"
import type { RunContext } from "./RunContext.ts"

/** Messages that may wait for an actor; whoever sends one more is suspended. */
const capacity = 16

/**
 * The actors of a pipeline under one supervisor. The store comes first and the optimizer goes on from it, so an optimizer
 * that restarts has lost nothing but the step at hand. Samplers and optimizer compute on threads of their own.
 */
export const spawnActors = Effect.fnUntraced(function* (
  pipeline: Pick<Pipeline, "sampler" | "verifier" | "buffer" | "optimizer">,
  context: RunContext,
  learned: { readonly weights: Weights; readonly optimizer: LearnerState },
  samplerCount: number
) {
  const backend = yield* Backend
  const supervisor = yield* Supervisor.make({
    name: "pipeline",
    strategy: "one-for-one",
    restart: Restart.standard
  })
  const common = { capacity, restart: Restart.standard }
  const onBackend = Effect.provideService(Backend, backend)

  const initial = PolicyStore.make(learned)
  const store = yield* supervisor.spawn(initial.protocol, {
    ...common,
    name: "policy-store",
    make: onBackend(initial.make(context))
  })
  const samplers = yield* Effect.forEach(
    Array.from({ length: samplerCount }, (_, i) => `sampler-${i}`),
    (name) =>
      supervisor.spawn(pipeline.sampler.protocol, {
        ...common,
        name,
        make: onBackend(onThread(name, pipeline.sampler.make(context)))
      }),
    { concurrency: "unbounded" }
  )
  const verifier = yield* supervisor.spawn(pipeline.verifier.protocol, {
    ...common,
    name: "verifier",
    make: onBackend(pipeline.verifier.make(context))
  })
  const buffer = yield* supervisor.spawn(pipeline.buffer.protocol, {
    ...common,
    name: "replay-buffer",
    make: onBackend(pipeline.buffer.make(context))
  })
  const optimizer = yield* supervisor.spawn(pipeline.optimizer.protocol, {
    ...common,
    name: "optimizer",
    make: onBackend(onThread("optimizer", pipeline.optimizer.make(context, store)))
  })
  return { supervisor, store, samplers, verifier, buffer, optimizer }
})
