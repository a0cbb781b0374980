import { Reward } from "@foretoken/core"
import type { Group } from "@foretoken/core"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"

/** A reward that is asked thousands of times, and by nobody any more once it has hung. */
export interface Watched {
  readonly reward: Reward.Reward<unknown>
  /** Waits for the time that it gives no answer to a group, and says which. */
  readonly hung: Effect.Effect<string>
}

/** One group without an answer takes the whole time limit of `judge`; thousands of them would take hours. */
export const watch = (reward: Reward.Reward<unknown>): Watched => {
  const first = Deferred.makeUnsafe<string>()
  const score: Reward.Reward<unknown>["score"] = (group) =>
    Effect.suspend(() => {
      if (Deferred.isDoneUnsafe(first)) return Effect.succeed(group.rollouts.map(() => given))
      return Effect.onInterrupt(reward.score(group), () => Deferred.succeed(first, tell(reward.name, group)))
    })
  return { reward: { ...reward, score }, hung: Deferred.await(first) }
}

const given = Reward.unscorable("it was not asked any more", "timeout")

const tell = (name: string, { problem, rollouts }: Group.ParsedGroup): string => {
  const text = (bytes: Uint8Array) => JSON.stringify(new TextDecoder().decode(bytes))
  const completions = rollouts.map(({ rollout, prediction }) => `  ${text(rollout.bytes)} (${prediction.outcome})`)
  return [
    `${name} gave no answer within 10 seconds for these completions of a text that goes on ${text(problem.continuation.bytes)}:`,
    ...completions
  ].join("\n")
}
