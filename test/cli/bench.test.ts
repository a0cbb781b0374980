import { Effect, Result } from "effect"
import { describe, expect, it } from "@effect/vitest"
import { encode, Graph, presetConfig, Reference, weightShapes } from "@foretoken/core"
import type { ModelConfig, Tensor, TensorType, WeightsOf } from "@foretoken/core"
import { forwardFlops, learnedTokens, sampledTokens, sequenceTokens } from "../../packages/cli/src/bench/flops.ts"
import { benchModel } from "../../packages/cli/src/bench/model.ts"
import { slopeReport } from "../../packages/cli/src/bench/reports.ts"
import type { StepReport } from "../../packages/cli/src/bench/Report.ts"
import { spreadOf } from "../../packages/cli/src/bench/Spread.ts"
import type { StepShape } from "../../packages/cli/src/bench/StepShape.ts"
import { anchorsOf } from "../../packages/cli/src/bench/StepShape.ts"
import { inProcess } from "./foretoken.ts"

const small = ["--documents", "3", "--positions", "2", "--group", "2", "--context", "20", "--tokens", "8"]
const onReference = ["bench", "--model", "preset:nano", "--backend", "reference", "--steps", "1", "--json"]

const json = async (args: ReadonlyArray<string>) => {
  const { stdout, stderr, code } = await inProcess(args)
  expect({ stderr, code }).toEqual({ stderr: "", code: 0 })
  return JSON.parse(stdout)
}

describe("foretoken bench --json", () => {
  it("takes a step apart into phases that add up to it", async () => {
    const report: StepReport = await json([...onReference, ...small])
    expect(report).toMatchObject({
      workload: "step",
      model: "preset:nano",
      backend: "reference",
      seed: 0,
      steps: 1,
      shape: { documents: 3, positions: 2, group: 2, context: 20, tokens: 8, rollouts: 12 }
    })
    const parts = Object.values(report.phases).map(({ median }) => median)
    expect(Object.keys(report.phases)).toEqual(["sync", "sample", "rollouts", "train", "optimizer", "publish"])
    expect(parts.reduce((a, b) => a + b)).toBeCloseTo(report.stepSeconds.median, 9)
    expect(Math.min(...parts)).toBeGreaterThan(0)
    expect(report.rolloutsPerSecond).toBeCloseTo(12 / report.stepSeconds.median, 6)
    expect(report.decodeTokensPerSecond).toBeCloseTo(96 / report.phases.sample.median, 6)
    for (const share of Object.values(report.shareOfCeiling)) expect(share).toBeGreaterThan(0)
    expect(report.logprobGap).toBeLessThan(1e-5)
    expect(report.rssBytes).toBeGreaterThan(1e7)
    expect(report.timerLagMs.max).toBeGreaterThanOrEqual(report.timerLagMs.p99)
  })

  it("counts padding and messages as they are", async () => {
    // All three documents at once: trunks of 20 in 32 columns; of the four branches of 1 + 8 tokens the last predicts nothing.
    const report: StepReport = await json([...onReference, ...small])
    expect(report.paddingShare).toBeCloseTo(1 - (3 * (20 + 4 * 8)) / (3 * (32 + 4 * 9)), 9)
    // Sync, Sample, Verify, Put, Take, Update, Publish; with units of one document three times Sample, Verify, Put.
    expect(report.messages.perStep).toBe(7)
    const three: StepReport = await json([...onReference, "--unit", "1", ...small])
    expect(three.messages.perStep).toBe(13)
    expect(report.messages.shareOfStep).toBeCloseTo(
      (7 * report.messages.microseconds) / 1e6 / report.stepSeconds.median,
      9
    )
  })

  it("measures training and decoding of plain sequences", async () => {
    const sequences = ["--batch", "3", "--length", "8"]
    const trained = await json([...onReference, "--workload", "train", ...sequences])
    expect(trained).toMatchObject({ workload: "train", shape: { batch: 3, length: 8 } })
    expect(trained.trainTokensPerSecond).toBeCloseTo(24 / trained.stepSeconds.median, 6)
    const decoded = await json([...onReference, "--workload", "decode", ...sequences])
    expect(decoded).toMatchObject({ workload: "decode", shape: { batch: 3, length: 8 } })
    expect(decoded.decodeTokensPerSecond).toBeCloseTo(24 / decoded.stepSeconds.median, 6)
  })
})

it("tells the same to people in a table", async () => {
  const { stdout, code } = await inProcess([...onReference.filter((arg) => arg !== "--json"), ...small])
  expect(code).toBe(0)
  expect(stdout).toMatch(/^step on reference: preset:nano/)
  expect(stdout).toMatch(/^train {6}/m)
  expect(stdout).toMatch(/rollouts\/s/)
})

it.effect("the slope is what doubling the group adds, at each context", () =>
  Effect.gen(function* () {
    const model = yield* benchModel("sizes:1,16,2,16,32", 0)
    const shape = { documents: 1, positions: 1, group: 2, context: 0, tokens: 3 }
    const report = yield* slopeReport(model, shape, { seed: 0, steps: 2, unit: 1 }, [8, 24])
    expect(report.points.map(({ context }) => context)).toEqual([8, 24])
    for (const { stepSeconds, secondsPerRollout } of report.points) {
      expect(secondsPerRollout).toBeCloseTo((stepSeconds[1] - stepSeconds[0]) / 2, 12)
    }
  }).pipe(Effect.scoped, Effect.provide(Reference.layer))
)

describe("bad flags end with one line", () => {
  const refused: ReadonlyArray<readonly [ReadonlyArray<string>, RegExp, number]> = [
    [["--model", "sizes:1,2"], /five whole numbers were expected: layers, width, heads/, 1],
    [["--model", "sizes:1,2,3,4,1e9"], /five whole numbers were expected/, 1],
    [["--model", "sizes:1,30,4,8,9"], /"sizes:1,30,4,8,9"; .*headDim/, 1],
    [["--model", "preset:huge"], /huge: is no preset; there are nano, micro, small/, 1],
    [["--group", "1"], /--group is 1; a whole number of at least 2 was expected/, 1],
    [["--workload", "rest"], /--workload is "rest"; /, 2],
    [["--slope", "--workload", "train"], /--slope is of the step; --workload train has none/, 2],
    [["--backend", "reference", "--threads", "2"], /--threads is 2; --backend reference chooses by itself/, 1],
    [["--backend", "reference", "--device", "cuda"], /--device is cuda; --backend reference has cpu/, 1]
  ]
  for (const [args, line, code] of refused) {
    it(args.join(" "), async () => {
      const finished = await inProcess(["bench", ...args])
      expect(finished.stderr).toMatch(line)
      expect(finished).toMatchObject({ stdout: "", code })
      expect(finished.stderr.trimEnd().split("\n")).toHaveLength(1)
    })
  }
})

describe("floating-point operations", () => {
  const nano = Result.getOrThrow(presetConfig("nano", { vocabSize: 24, bos: { _tag: "none" }, eos: { _tag: "none" } }))
  const untied: ModelConfig = { ...nano, tieWordEmbeddings: false }
  /** Every combination of a few sizes, the smallest among them. */
  const shapes = [1, 2].flatMap((documents) =>
    [1, 3].flatMap((positions) =>
      [1, 2, 4].flatMap((group) =>
        [1, 2, 7, 20].flatMap((context) =>
          [1, 2, 5].map((tokens): StepShape => ({ documents, positions, group, context, tokens }))
        )
      )
    )
  )

  it("in the layers and the head are those of the products in the traced forward pass", () => {
    for (const config of [nano, untied]) {
      const trunk: TensorType = { dtype: "i32", shape: [2, 6] }
      const program = ({ weights, ids }: { readonly weights: WeightsOf<Tensor>; readonly ids: Tensor }) => {
        const head = weights[config.tieWordEmbeddings ? "model.embed_tokens.weight" : "lm_head.weight"]
        return encode(config, weights, ids, [])
          .trunk.reshape([-1, config.hiddenSize])
          .matmul(head, { transposeB: true })
      }
      const types = [...weightShapes(config)].map(([name, shape]) => [name, { dtype: "f32", shape }] as const)
      const { graph } = Graph.trace(program, { weights: Object.fromEntries<TensorType>(types), ids: trunk })
      const counted = graph.nodes
        .filter(({ op }) => op === "matmul")
        .map(({ inputs, types }) => 2 * size(types[0].shape) * inputs[0].shape[1])
        .reduce((a, b) => a + b)
      expect(forwardFlops(config, { rows: 12, pairs: 0, predicted: 12 })).toBe(counted)
    }
  })

  it("in attention are two products of the head dimension for each key that a query sees", () => {
    const { layers, heads, headDim } = nano
    const perPair = forwardFlops(nano, { rows: 0, pairs: 1, predicted: 0 })
    expect(perPair).toBe(layers * heads * (2 * headDim + 2 * headDim))
  })

  it("of a step are those of every token looked at by itself", () => {
    for (const shape of shapes) {
      const sampled = { rows: 0, pairs: 0, predicted: 0 }
      const learned = { rows: 0, pairs: 0, predicted: 0 }
      const see = (tokens: typeof sampled, keys: number, predicts: boolean) => {
        tokens.rows++
        tokens.pairs += keys
        if (predicts) tokens.predicted++
      }
      for (let document = 0; document < shape.documents; document++) {
        for (let i = 0; i < shape.context; i++) {
          see(sampled, i + 1, false)
          see(learned, i + 1, false)
        }
        for (const anchor of anchorsOf(shape)) {
          see(sampled, anchor + 1, true)
          for (let rollout = 0; rollout < shape.group; rollout++) {
            for (let i = 0; i < shape.tokens; i++) {
              if (i > 0) see(sampled, anchor + 1 + i, true)
              see(learned, anchor + 1 + i, true)
            }
          }
        }
      }
      expect(sampledTokens(shape)).toEqual(sampled)
      expect(learnedTokens(shape)).toEqual(learned)
    }
  })

  it("of plain sequences are those of their tokens", () => {
    expect(sequenceTokens(2, 3)).toEqual({ rows: 6, pairs: 2 * (1 + 2 + 3), predicted: 4 })
  })
})

it("anchors stand in the second half of the trunk, the last one at its end", () => {
  const shape = { documents: 1, positions: 4, group: 2, context: 192, tokens: 1 }
  expect(anchorsOf(shape)).toEqual([120, 144, 168, 192])
})

it("a spread has the middle value, or the mean of the two in the middle", () => {
  expect(spreadOf([3, 1, 2])).toEqual({ median: 2, min: 1, max: 3 })
  expect(spreadOf([4, 1, 2, 3])).toEqual({ median: 2.5, min: 1, max: 4 })
})

const size = (shape: ReadonlyArray<number>): number => shape.reduce((a, b) => a * b, 1)
