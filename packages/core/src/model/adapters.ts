/** Models with adapters: how they are made from a model without, and back. */
import { Result } from "effect"
import type { Lora, LoraOptions } from "./Lora.ts"
import { adapterNames, initialAdapter, isAdapter, isTarget, lastNames, loraProblem, mergedWeight } from "./Lora.ts"
import type { KeptModel, StoredModel } from "./ModelDirectory.ts"
import type { ModelConfig } from "./ModelConfig.ts"
import { ModelConfigError } from "./ModelConfig.ts"
import { namesOf, projectionNames } from "./parameters.ts"
import { inF32, weightShapes } from "./weights.ts"
import type { KeptWeights } from "./weights.ts"

/**
 * A model with new adapters, which change nothing yet. `base` says where the model came from. Fails where a target is no
 * projection of the model, and where it has adapters already.
 */
export const withLora = <Model extends KeptModel>(
  model: Model,
  base: string,
  options: LoraOptions
): Result.Result<Model, ModelConfigError> => {
  const { rank = 8, alpha = 2 * rank, rankStabilized = false, seed = 0 } = options
  const { targets = lastNames(projectionNames(model.config)) } = options
  return Result.map(configWithLora(model.config, { base, rank, alpha, targets, rankStabilized }, base), (config) => {
    const fresh = [...weightShapes(config)].flatMap(([name, shape]) =>
      isAdapter(name) ? [[name, initialAdapter(name, shape, seed)] as const] : []
    )
    return { ...model, config, weights: { ...model.weights, ...Object.fromEntries(fresh) } }
  })
}

/** The config of a model with adapters; `path` is what the error names. */
export const configWithLora = (
  config: ModelConfig,
  lora: Lora,
  path: string
): Result.Result<ModelConfig, ModelConfigError> => {
  const fail = (reason: string) => Result.fail(new ModelConfigError({ path, reason }))
  if (config.lora !== undefined) return fail("the model has adapters already; merge them first (foretoken convert)")
  const problem = loraProblem(lora, projectionNames(config))
  return problem === undefined ? Result.succeed({ ...config, lora }) : fail(problem)
}

/** The adapters alone. */
export const adaptersOf = (weights: KeptWeights): KeptWeights =>
  Object.fromEntries(Object.entries(weights).filter(([name]) => isAdapter(name)))

/** The model that adapters were put on. */
export const withoutLora = <Model extends KeptModel>(model: Model): Model => {
  const { lora, ...bare } = model.config
  if (lora === undefined) return model
  const own = Object.fromEntries(Object.entries(model.weights).filter(([name]) => !isAdapter(name)))
  return { ...model, config: bare, weights: own }
}

/** The model whose projections are W + s·B·A: one without adapters that says the same. */
export const merged = (model: KeptModel): StoredModel => {
  const { lora } = model.config
  const all = inF32(model.weights)
  const base = withoutLora({ ...model, weights: all })
  if (lora === undefined) return base
  const weights = Object.entries(base.weights).map(([name, weight]) => {
    if (!isTarget(lora, name)) return [name, weight] as const
    const { a, b } = adapterNames(name)
    return [name, mergedWeight(lora, weight, all[a], all[b], namesOf(base.config).stored === "inOut")] as const
  })
  return { ...base, weights: Object.fromEntries(weights) }
}
