/** A learner that outlives its thread: what it has lost of its updates is made again, from what was kept of it last. */
import { Duration, Effect, Result, Schema } from "effect"
import type { Scope } from "effect"
import * as Protocol from "../actor/Protocol.ts"
import * as Restart from "../actor/Restart.ts"
import * as Supervisor from "../actor/Supervisor.ts"
import type { ActorCrashed, ActorStopped } from "../actor/index.ts"
import type { MicroBatch } from "../optim/gradientProgram.ts"
import { freshState, makeLearner } from "../optim/Learner.ts"
import type { LearnerOptions } from "../optim/Learner.ts"
import { Backend, BackendError, CompileError, ExecutionError } from "../tensor/Backend.ts"
import { makeBoundedProgramCache, programsKept } from "../tensor/ProgramCache.ts"
import { LearnerStateSchema, Numbers, WeightsSchema } from "./messages.ts"
import { onThread } from "./onThread.ts"
import type { StageError } from "./Stage.ts"
import { isCrash, steadfast } from "./steadfast.ts"

/** The learner has made `has` updates, and not those that were asked for: it began anew. */
class Behind extends Schema.TaggedError<Behind>()("Behind", { has: Schema.Int }) {}

const isMicroBatch = (value: unknown): value is MicroBatch =>
  typeof value === "object" && value !== null && "objective" in value && "data" in value
const failures = Schema.Union([Behind, CompileError, ExecutionError, BackendError])

/** What so many updates (`step`) have come to. */
const Learned = Schema.Struct({ step: Schema.Int, weights: WeightsSchema, optimizer: LearnerStateSchema })
export type Learned = typeof Learned.Type

/** Every message names the update that it is about, so that none is made twice or left out. */
const LearnerProtocol = Protocol.make(
  Protocol.message("Update", {
    payload: { step: Schema.Int, batches: Schema.Array(Schema.declare(isMicroBatch)) },
    success: Numbers,
    error: failures
  }),
  /** What it is after update `step`; `spare` is the memory of moments that nobody reads any more. */
  Protocol.message("State", {
    payload: { step: Schema.Int, spare: LearnerStateSchema },
    success: Learned,
    error: failures
  })
)

export type LearnerFailure = StageError | ActorCrashed | ActorStopped

/** Updates in their order, whatever becomes of the thread that makes them. */
export interface SupervisedLearner {
  /** Makes the next update, and gives what it measured. */
  readonly update: (batches: ReadonlyArray<MicroBatch>) => Effect.Effect<Numbers, LearnerFailure>
  /** What all updates so far have come to: a learner that dies goes on from there. Good until the next but one. */
  readonly keep: Effect.Effect<Learned, LearnerFailure>
  readonly restarted: () => number
}
type Numbers = typeof Numbers.Type

export interface SupervisedLearnerOptions extends Omit<LearnerOptions, "weights" | "state" | "programs"> {
  readonly from: Learned
  /** What takes longer, an update or the reading of the state, is given up, and the learner restarted. */
  readonly timeLimit: Duration.Duration
}

/**
 * It computes on a thread of its own where the backend has any. A thread that dies takes the updates since `keep` with it: their
 * batches are kept, and give the same bits again. An update that kills it twice ends the run.
 */
export const makeSupervisedLearner = ({
  from,
  timeLimit,
  ...options
}: SupervisedLearnerOptions): Effect.Effect<SupervisedLearner, BackendError | ActorStopped, Backend | Scope.Scope> =>
  Effect.gen(function* () {
    let kept = from
    let spare = freshState
    /** Batches of the updates after `kept`. */
    const since: Array<ReadonlyArray<MicroBatch>> = []
    const done = () => kept.step + since.length

    const make = Effect.gen(function* () {
      const { step: first, weights, optimizer: state } = kept
      const programs = yield* makeBoundedProgramCache(programsKept.training)
      const learner = yield* makeLearner({ ...options, weights, state, programs })
      let has = first
      let measured: Numbers = {}
      return {
        Update: Effect.fnUntraced(function* ({ step, batches }: Update) {
          if (step === has) return measured
          if (step !== has + 1) return yield* new Behind({ has })
          const { objective, skipped, ...update } = yield* learner.update(batches)
          has = step
          measured = { ...update, ...objective, "update/skipped": skipped }
          return measured
        }),
        State: Effect.fnUntraced(function* ({ step, spare }: State) {
          if (step !== has) return yield* new Behind({ has })
          return { step, weights: yield* learner.snapshot, optimizer: yield* learner.stateIn(spare.moments) }
        })
      }
    })
    const backend = yield* Backend
    const restart = Restart.standard
    const supervisor = yield* Supervisor.make({ name: "training", strategy: "one-for-one", restart })
    const actor = yield* supervisor.spawn(LearnerProtocol, {
      name: "learner",
      capacity: 1,
      restart,
      timeLimit,
      make: Effect.provideService(onThread("learner", make), Backend, backend)
    })
    // What is asked again is said below.
    const ref = steadfast(supervisor, actor, 1)

    /** Asks what comes after the updates so far. A learner that has lost some of them makes those first. */
    const asked = Effect.fnUntraced(function* <A>(
      ask: Effect.Effect<A, Behind | LearnerFailure>
    ): Effect.fn.Return<A, LearnerFailure> {
      const crashed = new Set<number>()
      let next = done() + 1
      while (true) {
        if (next > done()) {
          const answer = yield* Effect.result(ask)
          if (Result.isSuccess(answer)) return answer.success
          next = yield* afterFailure(answer.failure, next, crashed)
        } else {
          const batches = since[next - kept.step - 1]
          const again = yield* Effect.result(ref.ask("Update", { step: next, batches }))
          next = Result.isSuccess(again) ? next + 1 : yield* afterFailure(again.failure, next, crashed)
        }
      }
    })
    /** The update to make next: each may crash the learner once. */
    const afterFailure = (failure: Behind | LearnerFailure, next: number, crashed: Set<number>) =>
      Effect.suspend(() => {
        if (failure._tag === "Behind") return Effect.succeed(failure.has + 1)
        if (!isCrash(failure) || crashed.has(next)) return Effect.fail(failure)
        crashed.add(next)
        // A thread that was given up may be about to write there.
        spare = freshState
        return Effect.succeed(next)
      })

    return {
      update: Effect.fnUntraced(function* (batches) {
        const measured = yield* asked(ref.ask("Update", { step: done() + 1, batches }))
        since.push(batches)
        return measured
      }),
      keep: Effect.gen(function* () {
        if (since.length === 0) return kept
        const learned = yield* asked(Effect.suspend(() => ref.ask("State", { step: done(), spare })))
        spare = kept.optimizer
        kept = learned
        since.length = 0
        return kept
      }),
      restarted: () => actor.stats.restarted
    }
  })

interface Update {
  readonly step: number
  readonly batches: ReadonlyArray<MicroBatch>
}

interface State {
  readonly step: number
  readonly spare: Learned["optimizer"]
}
