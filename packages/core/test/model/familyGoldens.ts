import { readFileSync } from "node:fs"
import { Result } from "effect"
import type { ModelConfig } from "../../src/model/ModelConfig.ts"
import { fromHuggingFace } from "../../src/model/ModelConfigJson.ts"
import { parametersOf } from "../../src/model/parameters.ts"
import type { Weights } from "../../src/model/weights.ts"
import { HostTensor, sizeOf } from "../../src/tensor/HostTensor.ts"
import type { Shape } from "../../src/tensor/HostTensor.ts"

/** What transformers computes of a tiny model (fixtures/families.py). */
export interface FamilyGolden {
  readonly name: string
  /** As in config.json. */
  readonly config: object
  /** Of its parameters, the head of a tied model left out. */
  readonly shapes: Readonly<Record<string, Shape>>
  readonly ids: ReadonlyArray<number>
  readonly logprobs_of_next: ReadonlyArray<number>
  readonly entropy: ReadonlyArray<number>
  readonly argmax: ReadonlyArray<number>
  /** 20 tokens that greedy decoding goes on with. */
  readonly greedy: ReadonlyArray<number>
  /** Of Σ i/24 · logprob i by parameter: its product with `numbers("along <name>")`, and its length. */
  readonly gradients: Readonly<Record<string, readonly [along: number, length: number]>>
}

// Written by fixtures/families.py in this layout.
export const familyGoldens = JSON.parse(
  readFileSync(new URL("./fixtures/families.json", import.meta.url), "utf8")
) as ReadonlyArray<FamilyGolden>

/** Multiples of 2^-32 in [-0.5, 0.5), a function of name and index. */
export const numbers = (name: string, count: number): Float64Array => {
  const seed = new TextEncoder().encode(name).reduce((h, byte) => Math.imul(h, 31) + byte, 0)
  return Float64Array.from({ length: count }, (_, i) => {
    let h = (Math.imul(i + 1, 2654435761) + Math.imul(seed, 2246822519)) >>> 0
    h = Math.imul(h ^ (h >>> 15), 2246822519) >>> 0
    return ((h ^ (h >>> 13)) >>> 0) / 2 ** 32 - 0.5
  })
}

/** The model of a golden: every parameter by `numbers`, gains around 1. */
export const familyModel = (golden: FamilyGolden): { readonly config: ModelConfig; readonly weights: Weights } => {
  const config = Result.getOrThrow(fromHuggingFace(golden.config))
  const weights = Array.from(parametersOf(config), ({ name, shape, role }) => {
    const values = numbers(name, sizeOf(shape)).map((x) => (role === "norm" ? x + 1 : x))
    return [name, HostTensor.f32(shape, Float32Array.from(values))] as const
  })
  return { config, weights: Object.fromEntries(weights) }
}
