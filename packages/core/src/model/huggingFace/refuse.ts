import { Schema } from "effect"
import { refuse } from "../refusal.ts"
import type { SpecialToken } from "../ModelConfig.ts"

/** A config.json as parsed. */
export type Json = Readonly<Record<string, unknown>>

/** A key that may be missing or null. */
export const absent = <S extends Schema.Constraint>(schema: S) => Schema.optionalKey(Schema.NullOr(schema))

export const TokenId = Schema.Union([Schema.Int, Schema.Array(Schema.Int), Schema.Null])

/** A missing key has what the family's class in transformers gives it; null says that there is none. */
export const specialTokenOf = (
  ids: number | ReadonlyArray<number> | null | undefined,
  missing: SpecialToken
): SpecialToken => {
  if (ids === undefined) return missing
  if (ids === null) return { _tag: "none" }
  return typeof ids === "number" ? { _tag: "one", id: ids } : { _tag: "several", ids }
}

export const one = (id: number): SpecialToken => ({ _tag: "one", id })
export const none: SpecialToken = { _tag: "none" }

/** Keys that change what a model computes, and the values under which they change nothing. */
export type Neutral = Readonly<Record<string, (value: unknown) => boolean>>

export const isOff = (value: unknown): boolean => value === false
export const isZero = (value: unknown): boolean => value === 0
export const isOne = (value: unknown): boolean => value === 1
export const never = (): boolean => false

/** Refuses by name whatever is neither missing, null nor neutral. */
export const refuseUnlessNeutral = (json: Json, neutral: Neutral): void => {
  for (const [key, isNeutral] of Object.entries(neutral)) {
    const value = json[key]
    if (value !== undefined && value !== null && !isNeutral(value)) {
      refuse(`${key} ${JSON.stringify(value)} is not supported`)
    }
  }
}
