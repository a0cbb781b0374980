import type { makeLearner, MicroBatch, ModelConfig, Weights } from "@foretoken/core"
import { adamwRule, freshState, HostTensor, initialWeights, Loss, presetConfig, Schedule } from "@foretoken/core"
import { Result } from "effect"
import { policy } from "../../core/src/rl/objective.ts"

/** A model that is small enough for a device that is a program, and the work that RPT gives it. */
const none = { _tag: "none" } as const
export const config: ModelConfig = Result.getOrThrow(presetConfig("nano", { vocabSize: 50, bos: none, eos: none }))

export const weights: Weights = initialWeights(config, 7)

const [documents, length, positions, groupSize, maxTokens] = [2, 12, 2, 2, 11]
const branches = positions * groupSize
const rows = documents * branches

/** Numbers in [0,1) that are not round, the same every time. */
const noise = (size: number, seed: number): Float32Array =>
  Float32Array.from({ length: size }, (_, i) => Math.abs(Math.sin(seed * 12.9898 + i * 78.233) * 43758.5453) % 1)

const tokens = (size: number, seed: number): Int32Array =>
  Int32Array.from(noise(size, seed), (x) => Math.floor(x * config.vocabSize))

export const request = {
  trunk: { documents, length, tokens: tokens(documents * length, 1) },
  positions,
  anchors: Int32Array.of(4, 9, 6, 12),
  tail: Int32Array.of(3, 8),
  uniforms: noise(maxTokens * rows, 2)
}

export const sampling = { groupSize, maxTokens, sampling: { _tag: "temperature", temperature: 1 }, stop: [5] } as const

const branchLength = request.tail.length + maxTokens
const perToken = [documents, branches, branchLength]
const perBranch = [documents, branches]

/** The policy loss on branches of random tokens, as the optimizer's actor packs it. */
export const batch = (seed: number): MicroBatch => ({
  key: "policy",
  objective: policy(Loss.clipped({ low: 0.2, high: 0.28 }), request.tail.length, 1),
  data: {
    trunk: HostTensor.i32([documents, length], request.trunk.tokens),
    branches: HostTensor.i32(perToken, tokens(rows * branchLength, seed)),
    anchors: HostTensor.i32(
      perBranch,
      Int32Array.from({ length: rows }, (_, i) => request.anchors[Math.floor(i / groupSize)])
    ),
    mask: HostTensor.f32(
      perToken,
      Float32Array.from({ length: rows * branchLength }, (_, i) => (i % branchLength < request.tail.length ? 0 : 1))
    ),
    behaviourLogprobs: HostTensor.f32(
      perToken,
      noise(rows * branchLength, seed + 1).map((x) => -3.9 - x / 10)
    ),
    advantages: HostTensor.f32(
      perBranch,
      noise(rows, seed + 2).map((x) => x - 0.5)
    ),
    tokenCount: HostTensor.f32([], [rows * maxTokens]),
    tokensRead: HostTensor.f32([], [rows * maxTokens])
  }
})

export const training: Omit<Parameters<typeof makeLearner>[0], "programs"> = {
  config,
  weights,
  optimizer: { rule: adamwRule({ learningRate: 1e-3, weightDecay: 0.1 }), schedule: Schedule.constant(1), maxNorm: 1 },
  state: freshState
}
