/** The thread that a user's reward runs in: loads it, says what it is, and answers groups with verdicts. */
import { parentPort, workerData } from "node:worker_threads"
import * as Effect from "effect/Effect"
import type { ParsedGroup } from "../rl/Group.ts"
import type { Claims } from "./Claims.ts"
import { verdicts } from "./judge.ts"
import { importReward } from "./moduleOfReward.ts"
import { describe, type Reward } from "./Reward.ts"
import type { Verdict } from "./Verdict.ts"

/** What the worker says: first whether it has a reward, then the verdicts on each group that it is sent. */
export type FromWorker =
  | { readonly _tag: "Loaded"; readonly name: string; readonly claims: Claims }
  | { readonly _tag: "Unusable"; readonly problem: string }
  | { readonly _tag: "Verdicts"; readonly verdicts: ReadonlyArray<Verdict> }

// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
const say = (message: FromWorker): void => parentPort?.postMessage(message)

try {
  const reward = await importReward(String(workerData))
  // No services here: a reward that needs one is scored on the main thread, and one that does not say so fails by name.
  const alone = reward as Reward<unknown>
  parentPort?.on("message", (group: ParsedGroup) => {
    void Effect.runPromise(verdicts(alone, group)).then((given) => say({ _tag: "Verdicts", verdicts: given }))
  })
  say({ _tag: "Loaded", name: reward.name, claims: reward.claims })
} catch (cause) {
  say({ _tag: "Unusable", problem: describe(cause) })
}
