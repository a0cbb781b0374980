import { createHash } from "node:crypto"
import { readFile } from "node:fs/promises"
import { extname, resolve } from "node:path"
import { pathToFileURL } from "node:url"
import { Duration, Effect, Schema } from "effect"
import type { Scope } from "effect"
import { isolate } from "./isolate.ts"
import { importReward } from "./moduleOfReward.ts"
import { describe, type Reward } from "./Reward.ts"
import type { Truth } from "./Truth.ts"

/** A file that gives no reward: which file, what is wrong, what would be right. */
export class RewardFileError extends Schema.TaggedError<RewardFileError>()("RewardFileError", {
  path: Schema.String,
  problem: Schema.String
}) {
  override get message(): string {
    return `${this.path}: ${this.problem}`
  }
}

export interface LoadedReward {
  readonly reward: Reward<unknown, Truth>
  /** SHA-256 (hex) of the file itself; what it imports is not in it. */
  readonly sourceHash: string
  /** Whether it runs in a thread of its own. One that asks a model does not. */
  readonly isolated: boolean
}

export interface LoadRewardSettings {
  /** How long the module may take to load, default 10 seconds. */
  readonly timeLimit?: Duration.Input
}

/**
 * The reward of a user's TypeScript or JavaScript module: its default export, a `Reward` or a plain function
 * `(rollout, problem) => number`, which is then called by the name of the file. It runs in a worker thread for as long as
 * the scope, so that a loop that does not end stalls nobody; only one that claims `needsModel` runs in process, where the
 * model is.
 */
export const loadReward = (
  path: string,
  { timeLimit = "10 seconds" }: LoadRewardSettings = {}
): Effect.Effect<LoadedReward, RewardFileError, Scope.Scope> =>
  Effect.gen(function* () {
    const fail = (problem: string) => new RewardFileError({ path, problem })
    const source = yield* Effect.tryPromise({ try: () => readFile(path), catch: (cause) => fail(fileProblem(cause)) })
    if (!extensions.includes(extname(path))) {
      return yield* fail(`a module was expected, a file that ends in ${extensions.join(", ")}`)
    }
    const url = pathToFileURL(resolve(path)).href
    const sourceHash = createHash("sha256").update(source).digest("hex")
    const loaded = yield* isolate(url).pipe(
      Effect.catchDefect((cause) => Effect.fail(describe(cause))),
      Effect.timeoutOrElse({
        duration: timeLimit,
        orElse: () => Effect.fail(`it did not load within ${Duration.format(Duration.fromInputUnsafe(timeLimit))}`)
      }),
      Effect.mapError(fail)
    )
    if (!loaded.claims.needsModel) return { reward: loaded, sourceHash, isolated: true }
    const reward = yield* Effect.tryPromise({ try: () => importReward(url), catch: (cause) => fail(describe(cause)) })
    // Truth is the one service that a pipeline has for rewards; one that needs another fails where it is scored, by name.
    return { reward: reward as Reward<unknown, Truth>, sourceHash, isolated: false }
  })

const extensions = [".ts", ".mts", ".js", ".mjs"]

const fileProblem = (cause: unknown): string => {
  const code = cause instanceof Error && "code" in cause ? cause.code : undefined
  if (code === "ENOENT") return "there is no such file"
  return code === "EISDIR" ? "a module was expected, not a directory" : describe(cause)
}
