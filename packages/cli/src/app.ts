import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import { CliConfig, CliOutput, Command, GlobalFlag } from "effect/cli"
import { backends } from "./commands/backends.ts"
import { bench } from "./commands/bench.ts"
import { convert } from "./commands/convert.ts"
import { diff } from "./commands/diff.ts"
import { evaluate } from "./commands/eval.ts"
import { replay } from "./commands/replay.ts"
import { resume } from "./commands/resume.ts"
import { reward } from "./commands/reward.ts"
import { sample } from "./commands/sample.ts"
import { score } from "./commands/score.ts"
import { train } from "./commands/train.ts"
import { failureOf } from "./failure.ts"
import { Streams } from "./Streams.ts"
import { quickstart } from "./quickstart/index.ts"
import { version } from "./version.ts"

const root = Command.make("foretoken").pipe(
  Command.withDescription("Reinforcement Pre-Training: a language model thinks about what comes next in a text."),
  Command.withSubcommands([
    quickstart,
    train,
    resume,
    evaluate,
    score,
    sample,
    reward,
    replay,
    convert,
    diff,
    backends,
    bench
  ])
)

/** Help goes to stdout where it was asked for; what is wrong with a call `failureOf` says, in one line. */
const presenter: CliOutput.Presenter = {
  present: (event) => (event._tag === "InvalidInvocation" ? Effect.void : CliOutput.defaultPresenter.present(event))
}

const services = Layer.mergeAll(
  NodeServices.layer,
  CliConfig.layer({ builtIns: [GlobalFlag.Help, GlobalFlag.Version, GlobalFlag.Completions] }),
  CliOutput.layerPresenter(presenter)
)

/** Runs the command line to its exit code; what is wrong is one line on stderr. */
export const run = (args: ReadonlyArray<string>): Effect.Effect<number> =>
  Command.runWith(root, { version })(args).pipe(
    Effect.as(0),
    Effect.provide(services),
    Effect.catchCause((cause) =>
      Effect.map(Streams, ({ error }) => {
        const { line, exitCode } = failureOf(cause, debug)
        if (line !== "") error(`${line}\n`)
        return exitCode
      })
    )
  )

const debug = process.env["FORETOKEN_DEBUG"] === "1"

/** The program: runs, and ends the process. */
export const main = (args: ReadonlyArray<string>): void => {
  // A reader that has seen enough (`| head`) is no failure.
  process.stdout.on("error", (error) => {
    if ("code" in error && error.code === "EPIPE") process.exit(0)
    throw error
  })
  // Nor is a terminal that is gone: what a run says of its progress is no part of it.
  process.stderr.on("error", () => undefined)
  // What is thrown outside of any effect, by a library's own callback, is told like any other defect.
  process.on("uncaughtException", (error) => {
    process.stderr.write(`${failureOf(Cause.die(error), debug).line}\n`)
    process.exit(1)
  })
  const signals = watchSignals()
  NodeRuntime.runMain(run(args), {
    disableErrorReporting: true,
    // A backend may hold threads that would keep the process alive, so the end is said and not waited for.
    teardown: (exit) => {
      const code = Exit.isSuccess(exit) ? Number(exit.value) : interrupted
      process.exit(code === interrupted ? (signals.code() ?? code) : code)
    }
  })
}

/** What `failureOf` says where nothing but an interruption was the cause. */
const interrupted = 130

/** Exit codes by signal, as shells have them. */
const codes = { SIGINT: 130, SIGTERM: 143 } as const

/** npm passes a signal on that the terminal has sent already: what comes at once is one signal. */
const sameSignalMs = 100

/**
 * Ends the process as if nobody had listened: a shell sees 128 and the number of the signal. To exit would end the threads
 * first, and onnxruntime aborts when it comes back to one that is gone.
 */
const dieOf = (signal: keyof typeof codes): void => {
  process.removeAllListeners(signal)
  process.kill(process.pid, signal)
}

/** The first signal interrupts, and a run comes to a clean end; a second one ends the process at once. */
const watchSignals = () => {
  let first: { readonly code: number; readonly at: number } | undefined
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.on(signal, () => {
      if (first === undefined) first = { code: codes[signal], at: performance.now() }
      else if (performance.now() - first.at > sameSignalMs) dieOf(signal)
    })
  }
  return { code: () => first?.code }
}
