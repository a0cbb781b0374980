/** What a reward claims of its values (reward/Claims.ts), each claim a law. */
import type { Continuation } from "../../data/NextToken.ts"
import type { Prediction } from "../../prompt/Prediction.ts"
import type { Verdict } from "../../reward/Verdict.ts"
import type { Finding, Law } from "../Law.ts"
import { showPrediction, showText, showVerdict } from "../show.ts"
import { ofVerdicts, type Subject } from "./Subject.ts"

export const claimLaws = (subject: Subject): ReadonlyArray<Law> => {
  const { bounds, nothingFor, prefix } = subject.claims
  const laws = [...nothingFor].map((outcome) =>
    ofVerdicts(subject, `gives nothing for ${named[outcome]}`, (verdict, { prediction }) =>
      pays(verdict) && prediction.outcome === outcome
        ? `earns ${showVerdict(verdict)} for ${showPrediction(prediction)}`
        : undefined
    )
  )
  if (bounds.low > -Infinity || bounds.high < Infinity) laws.push(boundsLaw(subject))
  if (prefix.includes("sound")) laws.push(soundLaw(subject))
  if (prefix.includes("complete")) laws.push(completeLaw(subject))
  return laws
}

const boundsLaw = (subject: Subject): Law => {
  const { low, high } = subject.claims.bounds
  const slack = 1e-9 // what rounding may add to a sum of many parts
  return ofVerdicts(subject, `gives values from ${low} to ${high}`, (verdict) =>
    verdict._tag === "Scored" && !(verdict.value >= low - slack && verdict.value <= high + slack)
      ? `earns ${verdict.value}, which is not from ${low} to ${high}`
      : undefined
  )
}

const soundLaw = (subject: Subject): Law =>
  ofVerdicts(subject, "pays for nothing but a prefix on a token boundary", (verdict, { prediction, rollout }) => {
    const wrong = whyWrong(prediction, rollout.problem.continuation)
    return pays(verdict) && wrong !== undefined ? `earns ${showVerdict(verdict)}, but ${wrong}` : undefined
  })

const completeLaw = (subject: Subject): Law =>
  ofVerdicts(subject, "pays for every prefix on a token boundary", (verdict, { prediction, rollout }) => {
    const right = whyWrong(prediction, rollout.problem.continuation) === undefined
    const answers = verdict._tag === "Scored" || verdict.kind === "declined"
    return right && answers && !pays(verdict)
      ? `gets ${showVerdict(verdict)}, but ${showPrediction(prediction)} is the truth up to a token boundary`
      : undefined
  })

const named = {
  answered: "an answer",
  truncated: "a truncated thought",
  "no-box": "a completion without a box",
  malformed: "an answer that is never closed",
  empty: "an empty prediction"
} as const

const pays = (verdict: Verdict): boolean => verdict._tag === "Scored" && verdict.value > 0

/** Why a prediction is not the truth up to a token boundary, if it is not. Byte by byte, as the definition says. */
const whyWrong = (prediction: Prediction, { bytes: truth, boundaries }: Continuation): Finding => {
  if (prediction.outcome !== "answered") return `there is no prediction (${prediction.outcome})`
  const { bytes } = prediction
  const differs = bytes.findIndex((byte, i) => byte !== truth[i])
  if (differs >= truth.length) return `its prediction ${showText(bytes)} goes on where the truth ends`
  if (differs >= 0) {
    const [said, true_] = [bytes, truth].map((all) => all[differs].toString(16).padStart(2, "0"))
    return `its prediction ${showText(bytes)} has the byte ${said} at ${differs}, where the truth has ${true_}`
  }
  if (!boundaries.includes(bytes.length)) {
    const ends = `{${boundaries.join(", ")}}`
    return `its prediction ${showText(bytes)} ends after byte ${bytes.length}, inside a token: tokens end at ${ends}`
  }
  return undefined
}
