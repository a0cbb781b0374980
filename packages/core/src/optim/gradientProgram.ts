import type { Effect } from "effect"
import { gradients } from "../autodiff/grad.ts"
import type { Remember } from "../autodiff/Past.ts"
import type { ModelConfig } from "../model/ModelConfig.ts"
import type { WeightsOf } from "../model/Transformer.ts"
import type { Objective } from "../rl/objective.ts"
import type { Backend, CompileError } from "../tensor/Backend.ts"
import type { Executable } from "../tensor/Executable.ts"
import { compile } from "../tensor/Executable.ts"
import type { HostTensor, TensorType } from "../tensor/HostTensor.ts"
import type { ProgramCache } from "../tensor/ProgramCache.ts"
import { showType } from "../tensor/Shape.ts"
import type { Tensor } from "../tensor/Tensor.ts"

/** One pass through the model: what is minimised over which data. `key` names the objective with all its settings. */
export interface MicroBatch {
  readonly key: string
  readonly objective: Objective
  readonly data: Readonly<Record<string, HostTensor>>
}

type Named<A> = Readonly<Record<string, A>>

export interface GradientInputs<A> {
  readonly weights: WeightsOf<A>
  readonly data: Named<A>
}

export interface GradientOutputs<A> {
  readonly loss: A
  readonly sums: Named<A>
  readonly maxima: Named<A>
  readonly gradients: WeightsOf<A>
}

/** The objective with its gradient in the weights called `names`, as a program over data of the types given. */
export const objectiveWithGradient =
  (config: ModelConfig, objective: Objective, names: ReadonlyArray<string>, remember: Remember) =>
  ({ weights, data }: GradientInputs<Tensor>): GradientOutputs<Tensor> => {
    const minimised = objective(config, weights, data)
    const all = gradients(
      minimised.loss,
      names.map((weight) => weights[weight]),
      remember
    )
    return { ...minimised, gradients: Object.fromEntries(names.map((weight, i) => [weight, all[i]])) }
  }

/** That compiled; gradients stay on the backend, numbers come back. */
export const gradientProgram = (
  config: ModelConfig,
  weights: WeightsOf<TensorType>,
  names: ReadonlyArray<string>,
  { key, objective, data }: MicroBatch,
  remember: Remember,
  programs: ProgramCache
): Effect.Effect<Executable<GradientInputs<TensorType>, GradientOutputs<Tensor>>, CompileError, Backend> => {
  const shapes = Object.entries(data).map(([input, { dtype, shape }]) => [input, { dtype, shape }] as const)
  const how = remember === "all" ? "" : ", layers made again"
  const name = `train ${key}${how} ${shapes.map(([input, type]) => `${input}:${showType(type)}`).join(" ")}`
  const program = objectiveWithGradient(config, objective, names, remember)
  const inputs = { weights, data: Object.fromEntries(shapes) }
  const fetch = { loss: "host", sums: "host", maxima: "host", gradients: "resident" } as const
  return programs.get(name, compile(name, program, inputs, fetch, "kept"))
}
