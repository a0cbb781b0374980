/**
 * How probable a policy finds the truth, computed as everything else is: the document is the trunk, and a branch is the
 * template's tail, a rollout's thought, what opens an answer, and the true tokens.
 */
import { Effect } from "effect"
import type { Problem } from "../data/NextToken.ts"
import { hostF32 } from "../model/Scorer.ts"
import type { ModelConfig } from "../model/ModelConfig.ts"
import { branchLogprobs, trunkLogprobs } from "../model/tokenLogprobs.ts"
import type { WeightsOf } from "../model/Transformer.ts"
import { encode } from "../model/Transformer.ts"
import { keptAs, typesOfWeights } from "../model/weights.ts"
import type { Truth, TruthError } from "../reward/Truth.ts"
import { packBranches, packTrunk } from "../rl/Batch.ts"
import type { ParsedGroup } from "../rl/Group.ts"
import type { Value } from "../tensor/Backend.ts"
import { Backend } from "../tensor/Backend.ts"
import { compile } from "../tensor/Executable.ts"
import { HostTensor } from "../tensor/HostTensor.ts"
import type { TensorType } from "../tensor/HostTensor.ts"
import { makeBoundedProgramCache, programsKept } from "../tensor/ProgramCache.ts"
import type { Tensor } from "../tensor/Tensor.ts"
import { leadToAnswer } from "./leadToAnswer.ts"
import type { Baseline, Policy } from "./messages.ts"
import { trunkMultiple } from "./packRequest.ts"
import { makeResident } from "./residentWeights.ts"
import type { RunContext } from "./RunContext.ts"

/** The truth as policies find it. Which baseline goes with a policy is for the run to say: it outlives this. */
export const makePolicyTruth = Effect.fnUntraced(function* (context: RunContext) {
  const { config, frame } = context
  const programs = yield* makeBoundedProgramCache(programsKept.scoring)
  const policyWeights = yield* makeResident
  const baselineWeights = yield* makeResident

  const branchProgram = (given: WeightsOf<Value>, length: number, branches: number, width: number) => {
    const weights = typesOfWeights(config, given)
    const name = `truth ${length} ${branches}x${width}${keptAs(weights)}`
    const inputs = {
      weights,
      trunk: i32([1, length]),
      branches: i32([1, branches, width]),
      anchors: i32([1, branches])
    }
    const logprobs = ({ weights, trunk, branches, anchors }: Inputs<"trunk" | "branches" | "anchors">) => {
      const hung = { tokens: branches, anchors }
      return { logprobs: branchLogprobs(config, weights, encode(config, weights, trunk, [hung]), hung, 1, 1) }
    }
    return programs.get(name, compile(name, logprobs, inputs, "host"))
  }

  const trunkProgram = (given: WeightsOf<Value>, length: number) => {
    const weights = typesOfWeights(config, given)
    const name = `truth ${length}${keptAs(weights)}`
    const logprobs = ({ weights, trunk }: Inputs<"trunk">) => ({
      logprobs: trunkLogprobs(config, weights, encode(config, weights, trunk, []), trunk)
    })
    return programs.get(name, compile(name, logprobs, { weights, trunk: i32([1, length]) }, "host"))
  }

  const afterThought = Effect.fnUntraced(function* (policy: Policy, { problem, rollouts }: ParsedGroup, count: number) {
    const { document, anchor } = problem
    const truth = trueTokens(problem, count)
    const leads = rollouts.map(({ rollout }) => leadToAnswer(context, rollout))
    const row = leads.map((lead) => ({ anchor, completion: Int32Array.from([...lead, ...truth]) }))
    const trunk = packTrunk(frame.head, [document], { multiple: trunkMultiple }, [anchor])
    const packed = packBranches(frame, [row], { multiple: trunkMultiple })
    const { branches, length: width, tailLength } = packed
    const weights = yield* policyWeights.hold(policy.version, policy.weights)
    const { run } = yield* branchProgram(weights, trunk.length, branches, width)
    const { logprobs } = yield* run({
      weights,
      trunk: HostTensor.i32([1, trunk.length], trunk.tokens),
      branches: HostTensor.i32([1, branches, width], packed.tokens),
      anchors: HostTensor.i32([1, branches], packed.anchors)
    })
    const all = hostF32(logprobs)
    const room = positionsOf(config) - frame.head.length - anchor - tailLength - truth.length
    // Entry i speaks of token i + 1 of its branch.
    return leads.map((lead, b) =>
      lead.length > room ? NaN : sumOf(all, b * (width - 1) + tailLength + lead.length - 1, truth.length)
    )
  }, Effect.scoped)

  const ofBaseline = Effect.fnUntraced(function* (baseline: Baseline, problem: Problem, count: number) {
    const truth = trueTokens(problem, count)
    const { document, anchor } = problem
    const trunk = packTrunk(frame.head, [document], { multiple: trunkMultiple }, [anchor + truth.length])
    const weights = yield* baselineWeights.hold(baseline.version, baseline.weights)
    const { run } = yield* trunkProgram(weights, trunk.length)
    const { logprobs } = yield* run({ weights, trunk: HostTensor.i32([1, trunk.length], trunk.tokens) })
    return sumOf(hostF32(logprobs), frame.head.length + anchor - 1, truth.length)
  }, Effect.scoped)

  const backend = yield* Backend
  const onBackend = <A>(effect: Effect.Effect<A, TruthError, Backend>) =>
    Effect.provideService(effect, Backend, backend)
  /** The truth as `policy` finds it, beside a baseline. */
  return (policy: Policy, baseline: Baseline): (typeof Truth)["Service"] => ({
    afterThought: (group, count) => onBackend(afterThought(policy, group, count)),
    baseline: (problem, count) => onBackend(ofBaseline(baseline, problem, count))
  })
})

type Inputs<Names extends string> = { readonly weights: WeightsOf<Tensor> } & Readonly<Record<Names, Tensor>>

/** Rotary positions go on past those that a model was made for, learned ones do not. */
const positionsOf = ({ positions, maxPositions }: ModelConfig): number =>
  positions._tag === "learned" ? maxPositions : Infinity

const i32 = (shape: ReadonlyArray<number>): TensorType => ({ dtype: "i32", shape })

const trueTokens = ({ document, anchor }: Problem, count: number): Int32Array =>
  document.tokens.subarray(anchor, anchor + count)

const sumOf = (logprobs: Float32Array, from: number, count: number): number =>
  logprobs.subarray(from, from + count).reduce((sum, logprob) => sum + logprob, 0)
