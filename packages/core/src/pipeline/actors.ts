import { Duration, Effect } from "effect"
import type { ActorRef, Protocol } from "../actor/index.ts"
import * as Restart from "../actor/Restart.ts"
import * as Supervisor from "../actor/Supervisor.ts"
import { Backend } from "../tensor/Backend.ts"
import { onThread } from "./onThread.ts"
import type { Pipeline } from "./Pipeline.ts"
import * as PolicyStore from "./PolicyStore.ts"
import { makeProblemSearch, ProblemSearchProtocol } from "./ProblemSearch.ts"
import type { ProblemSearchOptions } from "./ProblemSearch.ts"
import type { RunContext } from "./RunContext.ts"
import { steadfast } from "./steadfast.ts"

/** Messages that may wait for an actor; whoever sends one more is suspended. */
const capacity = 16

/** What those who only keep things may take for a message, unless the run is less patient. */
const keepersLimit = Duration.minutes(5)

export interface ActorSettings {
  readonly samplers: number
  /** A message that takes longer is given up, and its actor restarted: what is stuck says nothing. */
  readonly timeLimit: Duration.Duration
}

/**
 * The actors of a pipeline under one supervisor. The store comes first and the optimizer goes on from it, so an optimizer
 * that restarts has lost nothing but the step at hand, which it makes again. Samplers and optimizer compute on threads of
 * their own. All but the samplers are asked again by themselves what has crashed them once.
 */
export const spawnActors = Effect.fnUntraced(function* (
  pipeline: Pick<Pipeline, "sampler" | "verifier" | "buffer" | "optimizer">,
  context: RunContext,
  learned: Parameters<typeof PolicyStore.make>[0],
  { samplers: samplerCount, timeLimit }: ActorSettings
) {
  const backend = yield* Backend
  const supervisor = yield* Supervisor.make({
    name: "pipeline",
    strategy: "one-for-one",
    restart: Restart.standard
  })
  const computing = { capacity, restart: Restart.standard, timeLimit }
  const keeping = { ...computing, timeLimit: Duration.min(timeLimit, keepersLimit) }
  const asked = <P extends Protocol.Protocol>(ref: ActorRef<P>) => steadfast(supervisor, ref)
  const onBackend = Effect.provideService(Backend, backend)

  const initial = PolicyStore.make(learned)
  const store = asked(
    yield* supervisor.spawn(initial.protocol, {
      ...keeping,
      name: "policy-store",
      make: onBackend(initial.make(context))
    })
  )
  const samplers = yield* Effect.forEach(
    Array.from({ length: samplerCount }, (_, i) => `sampler-${i}`),
    (name) =>
      supervisor.spawn(pipeline.sampler.protocol, {
        ...computing,
        name,
        make: onBackend(onThread(name, pipeline.sampler.make(context)))
      }),
    { concurrency: "unbounded" }
  )
  const verifier = yield* supervisor.spawn(pipeline.verifier.protocol, {
    ...computing,
    name: "verifier",
    make: onBackend(pipeline.verifier.make(context))
  })
  const buffer = yield* supervisor.spawn(pipeline.buffer.protocol, {
    ...keeping,
    name: "replay-buffer",
    make: onBackend(pipeline.buffer.make(context))
  })
  const optimizer = yield* supervisor.spawn(pipeline.optimizer.protocol, {
    ...computing,
    name: "optimizer",
    make: onBackend(onThread("optimizer", pipeline.optimizer.make(context, store)))
  })
  return {
    supervisor,
    store,
    // What becomes of a unit that crashes its sampler is for the pool to say.
    samplers: samplers.map((sampler) => steadfast(supervisor, sampler, 1)),
    verifier: asked(verifier),
    buffer: asked(buffer),
    optimizer: asked(optimizer)
  }
})

/** The search for problems, beside the actors of a pipeline; it computes on a thread of its own, too. */
export const spawnProblemSearch = Effect.fnUntraced(function* (
  supervisor: Supervisor.Supervisor,
  options: ProblemSearchOptions,
  timeLimit: Duration.Duration
) {
  const backend = yield* Backend
  const search = yield* supervisor.spawn(ProblemSearchProtocol, {
    capacity,
    restart: Restart.standard,
    timeLimit,
    name: "problems",
    make: Effect.provideService(onThread("problems", makeProblemSearch(options)), Backend, backend)
  })
  return steadfast(supervisor, search)
})
