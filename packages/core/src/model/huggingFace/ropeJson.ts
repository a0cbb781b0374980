import type { Rope } from "../Rope.ts"
import { yarnAttentionFactor } from "../Rope.ts"
import type { Json } from "./refuse.ts"
import { refuse } from "../refusal.ts"

interface RopeKeys {
  readonly rope_theta?: number | null
  readonly original_max_position_embeddings?: number | null
  readonly rope_scaling?: Json | null
  readonly rope_parameters?: Json | null
}

/**
 * transformers 5 writes `rope_parameters`, 4 writes `rope_theta` and `rope_scaling`; where a file has both they must agree.
 * `maxPositions` is what a scaling stretches where a file does not say it.
 */
export const ropeOf = (config: RopeKeys, maxPositions: number): Rope => {
  const { rope_theta: theta, rope_scaling: scaling, rope_parameters: parameters } = config
  const outer: Outer = { theta, original: config.original_max_position_embeddings, maxPositions }
  const old = scaling == null ? undefined : ropeOfDictionary("rope_scaling", scaling, outer)
  const current = parameters == null ? undefined : ropeOfDictionary("rope_parameters", parameters, outer)
  if (old !== undefined && current !== undefined && JSON.stringify(old) !== JSON.stringify(current)) {
    return refuse("rope_scaling and rope_parameters contradict each other")
  }
  return current ?? old ?? { _tag: "default", theta: theta ?? defaultTheta }
}

const defaultTheta = 10_000

/** What stands outside of the dictionary. */
interface Outer {
  readonly theta: number | null | undefined
  readonly original: number | null | undefined
  readonly maxPositions: number
}

const ropeOfDictionary = (where: string, dictionary: Json, outer: Outer): Rope => {
  const {
    type: oldType,
    rope_type: newType,
    rope_theta: innerTheta,
    partial_rotary_factor: partial,
    ...rest
  } = dictionary
  if (oldType !== undefined && newType !== undefined && oldType !== newType) {
    return refuse(`${where} has type ${JSON.stringify(oldType)} and rope_type ${JSON.stringify(newType)}`)
  }
  if (partial !== undefined && partial !== 1)
    refuse(`${where}.partial_rotary_factor ${JSON.stringify(partial)} is not supported`)
  const number = (key: string, value: unknown): number =>
    typeof value === "number"
      ? value
      : refuse(`${where}.${key} must be a number, not ${JSON.stringify(value) ?? "missing"}`)
  const given = (key: string): number => number(key, rest[key])
  const usually = (key: string, missing: number): number => (rest[key] == null ? missing : given(key))
  /** A number that may stand in the dictionary, outside of it, or in both, where it has to be the same. */
  const inOrOut = (key: string, inner: unknown, outside: number | null | undefined, missing: number): number => {
    const value = inner === undefined ? (outside ?? missing) : number(key, inner)
    return outside == null || outside === value
      ? value
      : refuse(`${key} ${outside} contradicts ${where}.${key} ${value}`)
  }
  const theta = inOrOut("rope_theta", innerTheta, outer.theta, defaultTheta)
  const original = (): number => {
    const key = "original_max_position_embeddings"
    return inOrOut(key, rest[key], outer.original, outer.maxPositions)
  }
  const only = (...keys: ReadonlyArray<string>): void => {
    const other = Object.keys(rest).find((key) => !keys.includes(key))
    if (other !== undefined) refuse(`${where}.${other} is not supported`)
  }
  const type = newType ?? oldType ?? "default"
  switch (type) {
    case "default":
      only()
      return { _tag: "default", theta }
    case "linear":
      only("factor")
      return { _tag: "linear", theta, factor: given("factor") }
    case "llama3":
      only("factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings")
      return {
        _tag: "llama3",
        theta,
        factor: given("factor"),
        lowFreqFactor: given("low_freq_factor"),
        highFreqFactor: given("high_freq_factor"),
        originalMaxPositions: original()
      }
    case "yarn": {
      only("factor", "attention_factor", "beta_fast", "beta_slow", "original_max_position_embeddings", "truncate")
      const factor = given("factor")
      const truncate = rest["truncate"] === undefined ? true : rest["truncate"]
      return {
        _tag: "yarn",
        theta,
        factor,
        attentionFactor: usually("attention_factor", yarnAttentionFactor(factor)),
        betaFast: usually("beta_fast", 32),
        betaSlow: usually("beta_slow", 1),
        originalMaxPositions: original(),
        truncate:
          typeof truncate === "boolean"
            ? truncate
            : refuse(`${where}.truncate must be true or false, not ${JSON.stringify(truncate)}`)
      }
    }
    default:
      return refuse(
        `rope type ${JSON.stringify(type)} is not supported, only "default", "linear", "llama3" and "yarn" are`
      )
  }
}

/** Keys for transformers 4 and 5 alike. */
export const ropeJson = (rope: Rope): Json => {
  const scaling = scalingOf(rope)
  return {
    rope_theta: rope.theta,
    rope_scaling: scaling,
    rope_parameters: { rope_theta: rope.theta, ...(scaling ?? { rope_type: "default" }) }
  }
}

const scalingOf = (rope: Rope): Json | null => {
  switch (rope._tag) {
    case "default":
      return null
    case "linear":
      return { rope_type: "linear", factor: rope.factor }
    case "llama3":
      return {
        rope_type: "llama3",
        factor: rope.factor,
        low_freq_factor: rope.lowFreqFactor,
        high_freq_factor: rope.highFreqFactor,
        original_max_position_embeddings: rope.originalMaxPositions
      }
    case "yarn":
      return {
        rope_type: "yarn",
        factor: rope.factor,
        attention_factor: rope.attentionFactor,
        beta_fast: rope.betaFast,
        beta_slow: rope.betaSlow,
        original_max_position_embeddings: rope.originalMaxPositions,
        truncate: rope.truncate
      }
  }
}
