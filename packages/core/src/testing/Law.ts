import { Cause, Effect, Exit } from "effect"
import * as fc from "fast-check"

/** A named property. `check` rejects with a report (what is wrong, seed, path, shrunk counterexample) when it is broken. */
export interface Law {
  readonly name: string
  readonly check: () => Promise<void>
}

export interface LawSettings {
  /** Generated cases per law, default 200. */
  readonly runs?: number
  /** Makes the same cases again; random by default. */
  readonly seed?: number
  /** With the seed of a report: starts at its counterexample. */
  readonly path?: string
}

/** What is wrong with one case, in a sentence; nothing wrong is `undefined`. */
export type Finding = string | undefined

/** From the first broken case on; past this, a case is reported as far as it has been shrunk. */
const shrinkMillis = 20_000

/**
 * The law that `property` holds for all values of `arbitrary`. It is broken by a value for which the effect succeeds with
 * `false` or with a sentence that says what is wrong, fails or dies.
 */
export const law = <A, E>(
  name: string,
  arbitrary: fc.Arbitrary<A>,
  property: (value: A) => Effect.Effect<Finding | boolean | void, E>,
  { runs = 200, seed, path, show = fc.stringify }: LawSettings & Shows<A> = {}
): Law => ({
  name,
  check: async () => {
    let brokenAt = Infinity
    const holds = fc.asyncProperty(arbitrary, async (value) => {
      if (performance.now() - brokenAt > shrinkMillis) return
      const exit = await Effect.runPromiseExit(Effect.suspend(() => property(value)))
      const finding = Exit.isSuccess(exit) ? exit.value : Cause.pretty(exit.cause)
      if (typeof finding !== "string" && finding !== false) return
      brokenAt = Math.min(brokenAt, performance.now())
      throw new Error(finding === false ? "does not hold" : finding)
    })
    const replay = { ...(seed === undefined ? {} : { seed }), ...(path === undefined ? {} : { path }) }
    const details = await fc.check(holds, { numRuns: runs, ...replay })
    if (!details.failed) return
    // Without a counterexample, generating a case threw.
    const shown = details.counterexample === null ? "" : await show(details.counterexample[0])
    throw new LawBroken(name, report(details, shown))
  }
})

interface Shows<A> {
  /** The counterexample as a person reads it; default: fast-check's. */
  readonly show?: (value: A) => string | Promise<string>
}

/** What `check` rejects with. The message is the whole report; where it was thrown is of no interest. */
export class LawBroken extends Error {
  constructor(law: string, report: string) {
    super(report)
    this.stack = `${law}\n${report}`
  }
}

const report = <A>(details: fc.RunDetails<[A]>, shown: string): string => {
  const { seed, counterexamplePath, numRuns, numShrinks, errorInstance } = details
  return [
    errorInstance instanceof Error ? errorInstance.message : String(errorInstance),
    "",
    ...shown.split("\n").map((line) => `  ${line}`.trimEnd()),
    "",
    `Property failed after ${numRuns} tests, shrunk ${numShrinks} times. To see it again:`,
    `{ seed: ${seed}, path: ${JSON.stringify(counterexamplePath)} }`
  ].join("\n")
}
