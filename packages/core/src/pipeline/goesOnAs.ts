/** Whether a run that is gone on with is still the one that it began as. */
import { Result } from "effect"
import { describeMachine } from "../run/Manifest.ts"
import type { Manifest } from "../run/Manifest.ts"
import { RunError } from "../run/Run.ts"
import type { Run } from "../run/Run.ts"
import { firstDifference } from "./firstDifference.ts"

/**
 * What may give other bits now than then, each in words: refused unless `elsewhere` is wanted. A setting that is another one is
 * always refused; `free` names those that never change results.
 */
export const goesOnAs = (
  { directory, manifest }: Run,
  now: Omit<Manifest, "format" | "id">,
  free: ReadonlyArray<string>,
  isElsewhereWanted: boolean
): Result.Result<ReadonlyArray<string>, RunError> => {
  const refuse = (reason: string) => Result.fail(new RunError({ path: directory, reason }))
  const changed = firstDifference(manifest.config, now.config, free)
  if (changed !== undefined) return refuse(`cannot go on as it began: ${changed}`)
  const differs = elsewhere(manifest, now)
  if (differs.length === 0 || isElsewhereWanted) return Result.succeed(differs)
  return refuse(
    `began elsewhere: ${differs.join(", ")}; it can go on here with \`elsewhere\`, but need not come to the same bits`
  )
}

/** What may give other bits, each in words. */
const elsewhere = (then: Manifest, now: Omit<Manifest, "format" | "id">): ReadonlyArray<string> => {
  const { architecture, processor, cores } = describeMachine()
  const pairs: ReadonlyArray<readonly [string, unknown, unknown]> = [
    ["the backend", then.backend, now.backend],
    ...Object.entries(now.versions).map(([name, version]) => [name, then.versions[name], version] as const),
    ["the architecture", then.machine.architecture, architecture],
    ["the processor", then.machine.processor, processor],
    ["the number of cores", then.machine.cores, cores]
  ]
  return pairs.flatMap(([what, was, is]) => (was === is ? [] : [`${what} was ${String(was)} and is ${String(is)}`]))
}
