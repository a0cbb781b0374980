/**
 * What a log-probability is of, as types. Two numbers that look alike, and a loss that takes one for the other, fail
 * silently; so values say under which policy and of which distribution they are, and a loss takes nothing else.
 *
 *   behaviour | current   the policy that sampled the tokens | the policy that is being trained
 *   sampling  | raw       after temperature (and top-p), what tokens are drawn from | the model's own, at temperature 1
 *
 * The tags exist in types only. Whoever makes such values declares them, by one of the functions below, at the one place
 * where it is known: the sampler, the forward pass of an objective, the file that they are read from. Anything that
 * computes new values of them (a slice, a sum) loses the tag. Which weights are meant stands beside them: the
 * `policyVersion` of a rollout, the `policyVersions` of a batch.
 */
export type Under = "behaviour" | "current"
export type Of = "sampling" | "raw"

declare const provenance: unique symbol
declare const fromLengths: unique symbol

/** Nats. `Values` may be an array, a tensor, or one number. */
export type Logprobs<U extends Under, D extends Of, Values> = Values & {
  readonly [provenance]: { readonly under: U; readonly of: D }
}

export type Behaviour<Values> = Logprobs<"behaviour", "sampling", Values>
export type Current<Values> = Logprobs<"current", "sampling", Values>
export type Raw<Values> = Logprobs<"current", "raw", Values>

/** Of the sampled tokens under the policy that sampled them, at its sampling temperature. */
export type BehaviourLogprobs = Behaviour<Float32Array>

// The tags are phantoms, so there is nothing to construct at run time.
export const behaviourLogprobs = <Values>(values: Values): Behaviour<Values> => values as Behaviour<Values>
/** Of the same tokens under the policy that is being trained, at the temperature that they were sampled with. */
export const currentLogprobs = <Values>(values: Values): Current<Values> => values as Current<Values>
/** At temperature 1, whatever tokens were sampled with. */
export const rawLogprobs = <Values>(values: Values): Raw<Values> => values as Raw<Values>

/** One element, tagged as its array is. */
export const at = <U extends Under, D extends Of>(
  values: Logprobs<U, D, Float32Array | Float64Array>,
  index: number
): Logprobs<U, D, number> => values[index] as Logprobs<U, D, number> // the same provenance as the whole

/** 1 on what counts and 0 elsewhere, by lengths: a pad token may well be a real token of some completion. */
export type Mask<Values> = Values & { readonly [fromLengths]: true }

/** [rows, width], 1 from index `from` up to the length of each row. */
export const maskOf = (lengths: ArrayLike<number>, width: number, from: number): Mask<Float32Array> => {
  const mask = new Float32Array(lengths.length * width)
  for (let row = 0; row < lengths.length; row++) {
    if (lengths[row] > from) mask.fill(1, row * width + from, row * width + lengths[row])
  }
  return mask as Mask<Float32Array> // made of lengths alone
}

/** Declares that a tensor holds such a mask: where a batch becomes the input of a program. */
export const maskTensor = <Values>(values: Values): Mask<Values> => values as Mask<Values>
