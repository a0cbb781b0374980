import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { problemAt } from "../../src/data/NextToken.ts"
import { document } from "../../src/data/Synthetic.ts"
import { initialWeights, weightsHash } from "../../src/model/weights.ts"
import type { Policy, Unit } from "../../src/pipeline/messages.ts"
import { makeRunContext } from "../../src/pipeline/RunContext.ts"
import * as Sampler from "../../src/pipeline/Sampler.ts"
import { compact } from "../../src/prompt/Template.ts"
import { PolicyVersion } from "../../src/rl/Rollout.ts"
import { Backend } from "../../src/tensor/Backend.ts"
import type { HostTensor } from "../../src/tensor/HostTensor.ts"
import { Reference } from "../../src/tensor/Reference.ts"
import { policy as loaded } from "./fixtures.ts"

const { config, weights } = loaded.stored
const { tokenizer } = loaded
const policyOf = (given: typeof weights): Policy => ({
  version: PolicyVersion.make(weightsHash(given)),
  updates: 0,
  weights: given
})
const policy = policyOf(weights)

/** A document with problems at some anchors. */
const asked = (index: number, anchors: ReadonlyArray<number>, epoch = 0): Unit["documents"][number] => {
  const text = document({ seed: 1, split: "train", index })
  const problems = anchors.map((anchor) => problemAt(tokenizer, text, anchor, 4))
  return { epoch, problems: problems.map((problem) => ({ ...problem, id: `${epoch}/${problem.id}` })) }
}
const unitOf = (...documents: Unit["documents"]): Unit => ({ index: 0, documents })

const handlers = (seed: number) =>
  Sampler.make({ groupSize: 2, temperature: 0.8, maxTokens: 6 }).make(
    makeRunContext({ seed, config, tokenizer, template: compact })
  )
const sample = Effect.fnUntraced(function* (seed: number, unit: Unit) {
  const { Sync, Sample } = yield* handlers(seed)
  return yield* Sample({ unit, version: yield* Sync({ policy }) })
})
const written = (groups: Effect.Success<ReturnType<typeof sample>>) =>
  groups.map(({ rollouts }) => rollouts.map(({ completion }) => completion.tokens.join()))

describe("a sampler", () => {
  it.effect("gives a group per problem, in order, its rollouts signed with policy and temperature", () =>
    Effect.gen(function* () {
      const unit = unitOf(asked(0, [20, 30]), asked(1, [25]))
      const groups = yield* sample(7, unit)
      const problems = unit.documents.flatMap((own) => own.problems)
      expect(groups.map(({ problem }) => problem)).toEqual(problems)
      for (const { problem, rollouts } of groups) {
        expect(rollouts.map(({ index }) => index)).toEqual([0, 1])
        for (const { completion, behaviourLogprobs, bytes, ...rollout } of rollouts) {
          expect(rollout).toMatchObject({ problem, policyVersion: policy.version, temperature: 0.8 })
          expect(behaviourLogprobs.length).toBe(completion.tokens.length)
          expect(bytes).toEqual(tokenizer.bytesOf(completion.tokens))
          expect(completion.ended === "length").toBe(completion.tokens.length === 6)
        }
      }
    }).pipe(Effect.scoped, Effect.provide(Reference.layer))
  )

  it.effect("draws by seed, epoch, problem and rollout, whatever else is in the unit", () =>
    Effect.gen(function* () {
      const [[first, second], [other]] = written(yield* sample(7, unitOf(asked(0, [20, 30]))))
      expect(new Set([first, second, other]).size).toBe(3)
      expect(written(yield* sample(7, unitOf(asked(1, [40]), asked(0, [20]))))[1]).toEqual([first, second])
      expect(written(yield* sample(8, unitOf(asked(0, [20]))))[0]).not.toContain(first)
      expect(written(yield* sample(7, unitOf(asked(0, [20], 1))))[0]).not.toContain(first)
      // A document that comes twice in a unit, from two epochs, is not sampled twice alike.
      const twice = written(yield* sample(7, unitOf(asked(0, [20]), asked(0, [20], 1)))).flat()
      expect(new Set(twice).size).toBe(4)
    }).pipe(Effect.scoped, Effect.provide(Reference.layer))
  )

  it.effect("takes of the next policy only what is not the same as before", () =>
    Effect.gen(function* () {
      const backend = yield* Backend
      let moved: Array<string> = []
      const names = new Map<HostTensor, string>()
      const note = (value: HostTensor) => void moved.push(names.get(value) ?? "unknown")
      const counting: typeof backend = {
        ...backend,
        upload: (value) => Effect.tap(backend.upload(value), () => Effect.sync(() => note(value))),
        write: (buffer, value) => Effect.tap(backend.write(buffer, value), () => Effect.sync(() => note(value)))
      }
      const [norm, other] = ["model.norm.weight", "model.layers.0.mlp.up_proj.weight"]
      const next = policyOf({
        ...weights,
        [norm]: initialWeights(config, 2)[norm],
        [other]: initialWeights(config, 2)[other]
      })
      for (const { weights: own } of [policy, next])
        for (const [name, value] of Object.entries(own)) names.set(value, name)
      const { Sync, Sample } = yield* Effect.provideService(handlers(7), Backend, counting)
      yield* Sync({ policy })
      expect(moved.toSorted()).toEqual(Object.keys(weights).toSorted())
      moved = []
      yield* Sync({ policy: next })
      expect(moved.toSorted()).toEqual([other, norm])
      // And samples as one that has loaded all of it.
      const fresh = yield* handlers(7)
      const unit = unitOf(asked(0, [20, 30]))
      const all = yield* fresh.Sample({ unit, version: yield* fresh.Sync({ policy: next }) })
      expect(written(yield* Sample({ unit, version: next.version }))).toEqual(written(all))
    }).pipe(Effect.scoped, Effect.provide(Reference.layer))
  )

  it.effect("refuses to sample a policy that it has not loaded", () =>
    Effect.gen(function* () {
      const { Sync, Sample } = yield* handlers(7)
      const unit = unitOf(asked(0, [20]))
      const none = yield* Effect.flip(Sample({ unit, version: policy.version }))
      expect(none).toMatchObject({ _tag: "NotSynced", wanted: policy.version, has: "none" })
      const next = policyOf(initialWeights(config, 2))
      yield* Sync({ policy })
      yield* Sync({ policy: next })
      expect(yield* Effect.flip(Sample({ unit, version: policy.version }))).toMatchObject({ has: next.version })
      const [group] = yield* Sample({ unit, version: next.version })
      expect(group.rollouts[0].policyVersion).toBe(next.version)
    }).pipe(Effect.scoped, Effect.provide(Reference.layer))
  )
})
