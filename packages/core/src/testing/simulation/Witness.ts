/**
 * Looks on through all lives of a run and says what a run must not do as soon as it does it. It knows what the undisturbed run
 * did: whatever goes wrong on the way, each policy and each rollout has to come out as there.
 */
import type { Delivery } from "../../actor/Transport.ts"
import type { Policy, Unit, VerifiedUnit } from "../../pipeline/messages.ts"
import type { Learned } from "../../pipeline/PolicyStore.ts"
import type { RolloutGroup } from "../../rl/Group.ts"
import type { Observer } from "./Life.ts"

/** What an undisturbed run made. */
export interface Made {
  /** Versions by the updates behind them. */
  readonly versions: Map<number, string>
  /** What was sampled, by unit and policy, as text. */
  readonly rollouts: Map<string, string>
}

export const nothingMade = (): Made => ({ versions: new Map(), rollouts: new Map() })

/** Payloads and replies of the pipeline's protocols, as far as they are looked at; whoever speaks them speaks these. */
interface Heard {
  readonly Publish: { readonly learned: Learned }
  readonly Latest: Learned
  readonly Take: { readonly units: ReadonlyArray<VerifiedUnit>; readonly stale: number }
}

export class Witness implements Observer {
  /** Policies that a sampler was given: what was built on. */
  readonly reliedOn = new Set<string>()
  readonly #made: Made
  /** Whether what is made is to be kept, or to be compared. */
  readonly #keeps: boolean
  readonly #lag: number
  /** A unit was set aside, or may have been: from there on the run is another one. */
  #diverges: () => boolean = () => false
  #published: Learned | undefined
  /** Problems that were put, by step and unit. */
  #stored = new Map<number, Map<number, ReadonlyArray<string>>>()

  constructor(made: Made, keeps: boolean, lag: number) {
    this.#made = made
    this.#keeps = keeps
    this.#lag = lag
  }

  /** Another process: it knows nothing of what the one before had in memory. */
  beginLife(diverges: () => boolean): void {
    this.#diverges = diverges
    this.#published = undefined
    this.#stored = new Map()
    this.reliedOn.clear()
  }

  begun({ request, payload }: Delivery): string | undefined {
    if (request !== "Sync") return undefined
    const { policy } = payload as { readonly policy: Policy }
    this.reliedOn.add(policy.version)
    return this.#policy(policy)
  }

  done({ request, payload }: Delivery, reply: unknown): string | undefined {
    switch (request) {
      case "Publish":
        return this.#publish((reply as Heard["Publish"]).learned)
      case "Latest":
        return this.#latest(reply as Heard["Latest"])
      case "Sample":
        return this.#sampled((payload as { readonly unit: Unit }).unit, reply as ReadonlyArray<RolloutGroup>)
      case "Put":
        return this.#put((payload as { readonly unit: VerifiedUnit }).unit)
      case "Take":
        return this.#take(payload as { readonly step: number; readonly updates: number }, reply as Heard["Take"])
      default:
        return undefined
    }
  }

  #policy({ updates, version }: Policy): string | undefined {
    const known = this.#made.versions.get(updates)
    if (known === undefined && this.#keeps) this.#made.versions.set(updates, version)
    if (known === version || (known === undefined && this.#keeps) || this.#diverges()) return undefined
    return known === undefined
      ? `there is a policy of ${updates} updates, more than the run makes`
      : `the policy of ${updates} updates is not the one that the undisturbed run made`
  }

  #publish(learned: Learned): string | undefined {
    const before = this.#published
    this.#published = learned
    // A publication that is made again changes nothing.
    const expected = before === undefined || before.step === learned.step ? undefined : before.policy.updates + 1
    if (before?.step === learned.step && before.policy.version !== learned.policy.version) {
      return `step ${learned.step} is published twice, with two policies`
    }
    if (expected !== undefined && learned.policy.updates !== expected) {
      return `versions are not monotone: a policy of ${learned.policy.updates} updates is published after one of ${expected - 1}`
    }
    return this.#policy(learned.policy)
  }

  #latest(learned: Learned): string | undefined {
    const last = this.#published
    this.#published = learned
    if (last !== undefined && last.policy.version !== learned.policy.version) {
      return "the store gives a policy that is not the last published"
    }
    return this.#policy(learned.policy)
  }

  #sampled({ index }: Unit, groups: ReadonlyArray<RolloutGroup>): string | undefined {
    const sampled = groups.flatMap(({ rollouts }) => rollouts)
    const made = sampled
      .map(({ id, completion, behaviourLogprobs }) => `${id}: ${completion.tokens} ${behaviourLogprobs}`)
      .join("\n")
    const key = `${index} ${sampled[0]?.policyVersion}`
    const known = this.#made.rollouts.get(key)
    if (known === undefined && this.#keeps) this.#made.rollouts.set(key, made)
    if (known === made || (known === undefined && this.#keeps) || this.#diverges()) return undefined
    return known === undefined
      ? `unit ${index} is sampled with a policy with which the undisturbed run did not sample it`
      : `the rollouts of unit ${index} are not those of the policy that they claim to be from`
  }

  #put({ step, index, groups }: VerifiedUnit): string | undefined {
    const units = this.#stored.get(step) ?? new Map<number, ReadonlyArray<string>>()
    units.set(
      index,
      groups.map(({ problem }) => problem.id)
    )
    this.#stored.set(step, units)
    return undefined
  }

  #take({ step, updates }: { readonly step: number; readonly updates: number }, { units, stale }: Heard["Take"]) {
    const stored = [...(this.#stored.get(step) ?? new Map<number, ReadonlyArray<string>>()).values()].flat()
    const foreign = units.find((unit) => unit.step !== step)
    if (foreign !== undefined) return `step ${step} is given unit ${foreign.index} of step ${foreign.step}`
    const old = units.find(({ policyUpdates }) => updates - policyUpdates > this.#lag)
    if (old !== undefined) {
      return `step ${step} is given unit ${old.index}, ${updates - old.policyUpdates} updates old, at a lag of ${this.#lag}`
    }
    const taken = units.flatMap(({ groups }) => groups.map(({ problem }) => problem.id))
    const doubled = taken.find((id, i) => taken.indexOf(id) !== i)
    if (doubled !== undefined) return `step ${step} is given problem ${doubled} twice`
    if (taken.length + stale === stored.length) return undefined
    const lost = stored.find((id) => !taken.includes(id)) ?? "none of them"
    return `step ${step} is given ${taken.length} groups and told of ${stale} that are too old, of ${stored.length} that were put: ${lost} is lost`
  }
}
