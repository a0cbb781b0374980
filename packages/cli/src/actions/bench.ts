import type { Backend, LoadedModel } from "@foretoken/core"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { BackendChoice } from "../backend.ts"
import { backendLayer } from "../backend.ts"
import { benchModel } from "../bench/model.ts"
import type { Report } from "../bench/Report.ts"
import { decodeReport, slopeContexts, slopeReport, stepReport, trainReport } from "../bench/reports.ts"
import { showReport } from "../bench/showReport.ts"
import type { StepShape } from "../bench/StepShape.ts"
import { UsageError } from "../failure.ts"

interface Input extends BackendChoice, StepShape {
  readonly model: string
  readonly workload: "step" | "train" | "decode"
  readonly slope: boolean
  readonly batch: number | undefined
  readonly length: number | undefined
  readonly unit: number | undefined
  readonly steps: number
  readonly threads: number | undefined
  readonly seed: number
}

type Output = Report & { readonly model: string; readonly seed: number }

export const run = (input: Input): Effect.Effect<Output, Error, Scope.Scope> =>
  Effect.gen(function* () {
    if (input.slope && input.workload !== "step") {
      return yield* new UsageError({ message: `--slope is of the step; --workload ${input.workload} has none` })
    }
    const model = yield* benchModel(input.model, input.seed)
    const report = yield* Effect.provide(reportOf(input, model), backendLayer(input))
    return { ...report, model: input.model, seed: input.seed }
  })

const reportOf = (input: Input, model: LoadedModel): Effect.Effect<Report, Error, Backend | Scope.Scope> => {
  const { documents, positions, group, context, tokens, seed, steps, unit = documents } = input
  const shape = { documents, positions, group, context, tokens }
  const settings = { seed, steps, unit }
  switch (input.workload) {
    case "train":
      return trainReport(model, { batch: input.batch ?? 32, length: input.length ?? 128 }, settings)
    case "decode":
      return decodeReport(model, { batch: input.batch ?? 64, length: input.length ?? 64 }, settings)
    case "step":
      return input.slope ? slopeReport(model, shape, settings, slopeContexts) : stepReport(model, shape, settings)
  }
}

export const show = showReport
