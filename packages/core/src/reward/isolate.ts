import { Worker } from "node:worker_threads"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import { describe, make, type Reward } from "./Reward.ts"
import type { FromWorker } from "./rewardWorker.ts"

type Loaded = Extract<FromWorker, { readonly _tag: "Loaded" }>
type Verdicts = Extract<FromWorker, { readonly _tag: "Verdicts" }>

/**
 * The reward of the module at `url`, in a thread of its own that answers one group at a time. Whoever interrupts it, as the
 * time limit of `judge` does, ends the thread, and the next group gets a new one: a loop that does not end cannot stall
 * anyone. Fails with what is wrong with the module, in one line.
 */
export const isolate = (url: string): Effect.Effect<Reward, string, Scope.Scope> =>
  Effect.gen(function* () {
    const permit = yield* Semaphore.make(1)
    let thread: Worker | undefined
    const begin = Effect.map(start(url), (loaded) => {
      const { worker } = loaded
      worker.once("exit", () => (thread = thread === worker ? undefined : thread))
      thread = worker
      return loaded
    })
    const end = Effect.suspend(() => (thread === undefined ? Effect.void : terminate(thread)))
    const { name, claims } = yield* begin
    yield* Effect.addFinalizer(() => end)

    const score: Reward["score"] = (group) =>
      Effect.gen(function* () {
        const worker = thread ?? (yield* begin).worker
        const { verdicts } = yield* reply<Verdicts>(worker, "Verdicts", group)
        return verdicts
      }).pipe(
        Effect.mapError((problem) => new Error(problem)),
        Effect.orDie,
        Effect.onExit((exit) => (exit._tag === "Success" ? Effect.void : end)),
        permit.withPermit
      )
    return make(name, score, claims)
  })

/** A thread that has loaded the module. */
const start = (url: string): Effect.Effect<Loaded & { readonly worker: Worker }, string> =>
  Effect.suspend(() => {
    const worker = new Worker(entry, { workerData: url, execArgv: [...process.execArgv, ...conditions], stdout: true })
    // The command's own output may be JSON on stdout, so what a reward prints goes to stderr.
    worker.stdout.pipe(process.stderr)
    // A thread that breaks down between two groups is replaced when the next one comes.
    worker.on("error", () => undefined)
    // One that waits for its next group keeps no process alive.
    worker.unref()
    return reply<Loaded>(worker, "Loaded").pipe(
      Effect.map((loaded) => ({ ...loaded, worker })),
      Effect.onExit((exit) => (exit._tag === "Success" ? Effect.void : terminate(worker)))
    )
  })

/** The next message of the thread, after it was sent `group`, if any. */
const reply = <Message extends FromWorker>(
  worker: Worker,
  expected: Message["_tag"],
  ...groups: ReadonlyArray<unknown>
): Effect.Effect<Message, string> =>
  Effect.callback<Message, string>((resume) => {
    const isExpected = (message: FromWorker): message is Message => message._tag === expected
    const onMessage = (message: FromWorker) => {
      if (isExpected(message)) return settle(Effect.succeed(message))
      return settle(message._tag === "Unusable" ? Effect.fail(message.problem) : Effect.die(new Error("out of turn")))
    }
    const onError = (cause: unknown) => settle(Effect.die(new Error(`its thread broke down: ${describe(cause)}`)))
    const onExit = (code: number) => settle(Effect.die(new Error(`it ended its thread with exit code ${code}`)))
    const settle = (outcome: Effect.Effect<Message, string>) => {
      forget()
      resume(outcome)
    }
    const forget = () => {
      worker.off("message", onMessage).off("error", onError).off("exit", onExit)
      worker.unref()
    }
    worker.on("message", onMessage).on("error", onError).on("exit", onExit)
    worker.ref()
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
    for (const group of groups) worker.postMessage(group)
    return Effect.sync(forget)
  })

const terminate = (worker: Worker): Effect.Effect<void> => Effect.promise(() => worker.terminate()).pipe(Effect.asVoid)

// Run from its sources, the project resolves its own packages to sources in the thread, too.
const fromSource = import.meta.url.endsWith(".ts")
const entry = new URL(fromSource ? "./rewardWorker.ts" : "./rewardWorker.js", import.meta.url)
const conditions = fromSource && !process.execArgv.includes("@foretoken/source") ? ["-C", "@foretoken/source"] : []
