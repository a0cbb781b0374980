import { type Outcome, outcomes } from "../prompt/Prediction.ts"

/**
 * What a reward promises of itself, so that laws can hold it to its word. A claim that is not made is not checked;
 * combinators derive the claims of the whole from those of the parts.
 */
export interface Claims {
  /** Every value lies in [low, high]. An infinite end promises nothing. */
  readonly bounds: Bounds
  /** Asked the same twice, it answers the same. */
  readonly deterministic: boolean
  /** It asks a model for probabilities: it runs in process, and laws have to provide the model. */
  readonly needsModel: boolean
  /**
   * What a value above 0 says of the prediction. `sound`: it is a nonempty prefix of the true continuation that ends on a
   * token boundary. `complete`: every such prefix has one.
   */
  readonly prefix: ReadonlyArray<"sound" | "complete">
  /** Outcomes of the parse that never get a value above 0. */
  readonly nothingFor: ReadonlyArray<Outcome>
  /** Edits of a completion that never raise its value. */
  readonly noGain: ReadonlyArray<NoGain>
}

export interface Bounds {
  readonly low: number
  readonly high: number
}

/**
 * - `appended`: more text behind the completed answer, without a marker of the template in it
 * - `repetition`: the thought said twice
 * - `quotation`: the end of the context quoted at the start of the thought
 */
export type NoGain = "appended" | "repetition" | "quotation"

export const noGains: ReadonlyArray<NoGain> = ["appended", "repetition", "quotation"]

/** Every outcome but an answer. */
export const failures: ReadonlyArray<Outcome> = outcomes.filter((outcome) => outcome !== "answered")

/** What is taken of a reward that says nothing of itself: a pure function of the group, of any size. */
export const modest: Claims = {
  bounds: { low: -Infinity, high: Infinity },
  deterministic: true,
  needsModel: false,
  prefix: [],
  nothingFor: [],
  noGain: []
}

/** A verifier of the prediction alone: nothing without an answer, and nothing to be gained around it. */
export const verifier: Claims = {
  ...modest,
  bounds: { low: 0, high: 1 },
  nothingFor: failures,
  noGain: noGains
}

/** A verifier in the paper's sense: it pays for every prefix on a token boundary, and for nothing else. */
export const prefixVerifier: Claims = { ...verifier, prefix: ["sound", "complete"] }

/** `given` where it says something, else what is modest. Throws RangeError for bounds that hold no number. */
export const claims = (given: Partial<Claims>): Claims => {
  const all = { ...modest, ...given }
  const { low, high } = all.bounds
  if (!(low <= high)) throw new RangeError(`the bounds [${low}, ${high}] hold no number`)
  return all
}
