/** What readers of all kinds are given, and what is made of their answers. */
import { join } from "node:path"
import { Effect, Result } from "effect"
import { Disk } from "../../packages/core/src/index.ts"
import { makeMemoryDisk } from "../../packages/core/src/testing/index.ts"
import type { Outcome } from "./fuzz.ts"
import type { Random } from "./mutate.ts"
import { mutateBytes } from "./mutate.ts"

export type Files = Readonly<Record<string, Uint8Array>>

/** Reads from a disk that holds these files in /d. */
export const reading = <A, E>(files: Files, effect: Effect.Effect<A, E>): Result.Result<A, E> => {
  const memory = makeMemoryDisk()
  for (const [name, bytes] of Object.entries(files)) memory.put(join("/d", name), bytes)
  return Effect.runSync(Effect.result(Effect.provideService(effect, Disk, memory.boot())))
}

export const value: Outcome = { _tag: "Value" }
export const refused = (error: unknown): Outcome => ({ _tag: "Refused", error })
export const outcomeOf = <A, E>(result: Result.Result<A, E>, check: (value: A) => boolean): Outcome => {
  if (Result.isFailure(result)) return refused(result.failure)
  if (!check(result.success)) throw new Error(`a wrong value: ${JSON.stringify(result.success)}`)
  return value
}

/** Now and then an input stays as it is: a reader that refuses everything reads nothing. */
export const perhaps = (bytes: Uint8Array, random: Random): Uint8Array =>
  random.below(16) === 0 ? bytes : mutateBytes(bytes, random)
