import { Result } from "effect"
import { isAdapter } from "./Lora.ts"
import type { ModelConfig } from "./ModelConfig.ts"
import { weightShapes, WeightsError } from "./weights.ts"

/**
 * The names of the weights that training moves: the adapters where the model has any, else all of it, without those that
 * a pattern of `frozen` freezes. A pattern is a name or its beginning up to a dot, and `*` stands for anything:
 * "model.layers.0" is all of the first layer, "*.mlp" every feed-forward block. Fails for a pattern that freezes nothing, and
 * where nothing is left.
 */
export const trainableWeights = (
  config: ModelConfig,
  frozen: ReadonlyArray<string>
): Result.Result<ReadonlyArray<string>, WeightsError> => {
  const all = [...weightShapes(config).keys()]
  const candidates = config.lora === undefined ? all : all.filter(isAdapter)
  const patterns = frozen.map((pattern) => ({ pattern, matches: matcher(pattern) }))
  const idle = patterns.find(({ matches }) => !candidates.some(matches))
  const fail = (reason: string) => Result.fail(new WeightsError({ path: "frozen", reason }))
  if (idle !== undefined) {
    const what = config.lora === undefined ? "weight of this model" : "adapter of this model"
    return fail(`no ${what} is called ${JSON.stringify(idle.pattern)}; names are those such as ${candidates[0]}`)
  }
  const left = candidates.filter((name) => !patterns.some(({ matches }) => matches(name)))
  return left.length === 0 ? fail("nothing is left to train") : Result.succeed(left)
}

const matcher = (pattern: string): ((name: string) => boolean) => {
  const source = pattern.split("*").map((part) => part.replaceAll(/[.+?^${}()|[\]\\]/g, "\\$&"))
  const whole = new RegExp(`^${source.join(".*")}(\\.|$)`)
  return (name) => whole.test(name)
}
