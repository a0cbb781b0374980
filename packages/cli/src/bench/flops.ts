/**
 * Floating-point operations that the work needs, a multiply-add counted as two, matrix products only:
 *
 *   forward = 2 rows W + 4 H dh layers pairs + 2 d V predicted
 *
 * with W the weights inside the layers' matrices, `rows` the tokens that go through the layers, `pairs` the (query, key)
 * pairs where the one sees the other, `predicted` the distributions over the vocabulary. Backward is twice forward. What a
 * program computes beside that (padding, masked keys, logits again) is not counted, so it shows as a smaller share of
 * the ceiling.
 */
import { parametersOf } from "@foretoken/core"
import type { ModelConfig } from "@foretoken/core"
import type { StepShape } from "./StepShape.ts"
import { anchorsOf } from "./StepShape.ts"

export interface Tokens {
  readonly rows: number
  readonly pairs: number
  readonly predicted: number
}

export const forwardFlops = (config: ModelConfig, { rows, pairs, predicted }: Tokens): number => {
  const { layers, heads, headDim, hiddenSize, vocabSize } = config
  return (
    2 * rows * matrixWeights(config) + 4 * heads * headDim * layers * pairs + 2 * hiddenSize * vocabSize * predicted
  )
}

export const trainFlops = (config: ModelConfig, tokens: Tokens): number => 3 * forwardFlops(config, tokens)

/** Weights of the matrices inside the layers. */
const matrixWeights = (config: ModelConfig): number =>
  Array.from(parametersOf(config))
    .filter(({ role }) => role === "matrix" || role === "residual")
    .reduce((total, { shape: [rows, columns] }) => total + rows * columns, 0)

/** 1 + 2 + … + n: a token sees itself and those before it. */
const triangle = (n: number): number => (n * (n + 1)) / 2

/** `sequences` of `length` tokens each, every one but the first predicted. */
export const sequenceTokens = (sequences: number, length: number): Tokens => ({
  rows: sequences * length,
  pairs: sequences * triangle(length),
  predicted: sequences * (length - 1)
})

/** Decoding of the step: each trunk once, the tail of one token once per anchor, then each drawn token but the last. */
export const sampledTokens = (shape: StepShape): Tokens => {
  const { documents, positions, group, context, tokens } = shape
  const decoded = tokens - 1
  const pairs = anchorsOf(shape).map((anchor) => {
    const tail = anchor + 1
    const rollout = decoded * tail + triangle(decoded)
    return tail + group * rollout
  })
  return {
    rows: documents * (context + positions + positions * group * decoded),
    pairs: documents * (triangle(context) + sum(pairs)),
    predicted: documents * positions * (1 + group * decoded)
  }
}

/** The update of the step: trunks, and of each branch the tail and all drawn tokens but the last, which predicts nothing. */
export const learnedTokens = (shape: StepShape): Tokens => {
  const { documents, positions, group, context, tokens } = shape
  const pairs = anchorsOf(shape).map((anchor) => group * (anchor * tokens + triangle(tokens)))
  const rows = positions * group * tokens
  return {
    rows: documents * (context + rows),
    pairs: documents * (triangle(context) + sum(pairs)),
    predicted: documents * rows
  }
}

const sum = (xs: ReadonlyArray<number>): number => xs.reduce((a, b) => a + b, 0)
