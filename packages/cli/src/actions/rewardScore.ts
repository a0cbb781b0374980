import { readFile } from "node:fs/promises"
import { NextToken, Reward, Rollout, Template } from "@foretoken/core"
import type { Prediction } from "@foretoken/core"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { InputError } from "../failure.ts"
import type { BuiltinTemplate } from "../flags.ts"
import { openLoneReward } from "../reward.ts"
import { table } from "../table.ts"

interface Input {
  readonly cases: string
  readonly reward: string
  readonly template: BuiltinTemplate | undefined
}

interface Output {
  readonly verdicts: ReadonlyArray<Verdict>
}

interface Verdict {
  readonly outcome: Prediction.Outcome
  /** null where the completion holds no prediction. */
  readonly prediction: string | null
  /** Of a prediction that is no UTF-8. */
  readonly hex?: string
  readonly value: number | null
  /** Why there is no value. */
  readonly unscorable?: string
}

/** One line of the file. */
interface Case {
  readonly continuation: NextToken.Continuation
  readonly completion: Uint8Array
}

export const run = (input: Input): Effect.Effect<Output, Error, Scope.Scope> =>
  Effect.gen(function* () {
    const { reward } = yield* openLoneReward(input.reward)
    const template = Template.builtin[input.template ?? "boxed"]
    const cases = yield* readCases(input.cases)
    const verdicts = yield* Effect.forEach(cases, ({ continuation, completion }, i) => {
      const rollout = rolloutOf(template, problemOf(`case ${i + 1}`, continuation), completion)
      return Effect.map(Reward.judge(reward, { problem: rollout.rollout.problem, rollouts: [rollout] }), (group) =>
        verdictOf(rollout, group.rollouts[0].verdict)
      )
    })
    return { verdicts }
  })

const verdictOf = ({ prediction }: Rollout.ParsedRollout, verdict: Reward.Verdict): Verdict => ({
  outcome: prediction.outcome,
  ...(prediction.outcome === "answered" ? textOf(prediction.bytes) : { prediction: null }),
  ...(verdict._tag === "Scored" ? { value: verdict.value } : { value: null, unscorable: verdict.reason })
})

const textOf = (bytes: Uint8Array): Pick<Verdict, "prediction" | "hex"> => {
  const prediction = new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes)
  const isText = Buffer.from(prediction).equals(bytes)
  return isText ? { prediction } : { prediction, hex: Buffer.from(bytes).toString("hex") }
}

/** What follows is known, what came before is not: one token stands for it. */
const problemOf = (id: string, continuation: NextToken.Continuation): NextToken.Problem => ({
  id,
  document: { id, tokens: Int32Array.from({ length: continuation.boundaries.length + 1 }, (_, i) => i) },
  anchor: 1,
  continuation
})

/** A completion of one token a byte, since nothing is known of the vocabulary. */
const rolloutOf = (
  template: Template.Template,
  problem: NextToken.Problem,
  bytes: Uint8Array
): Rollout.ParsedRollout => ({
  rollout: {
    id: problem.id,
    problem,
    index: 0,
    policyVersion: Rollout.PolicyVersion.make("0".repeat(64)),
    completion: { tokens: Int32Array.from(bytes), ended: "stop" },
    behaviourLogprobs: Rollout.behaviourLogprobs(new Float32Array(bytes.length)),
    temperature: 1,
    bytes
  },
  prediction: Template.parse(template, bytes)
})

const readCases = Effect.fnUntraced(function* (path: string) {
  const text = yield* Effect.tryPromise({
    try: () => readFile(path, "utf8"),
    catch: (cause) => new InputError({ message: `${path}: ${problemOfFile(cause)}` })
  })
  const lines = text.split("\n").flatMap((line, i) => (line.trim() === "" ? [] : [{ line, number: i + 1 }]))
  if (lines.length === 0) return yield* new InputError({ message: `${path}: no cases; one a line was expected` })
  return yield* Effect.forEach(lines, ({ line, number }) =>
    Effect.try({
      try: () => caseOf(line),
      catch: (cause) =>
        new InputError({ message: `${path}:${number}: ${cause instanceof Error ? cause.message : String(cause)}` })
    })
  )
})

const problemOfFile = (cause: unknown): string => {
  const code = cause instanceof Error && "code" in cause ? cause.code : undefined
  if (code === "ENOENT") return "no such file"
  return code === "EISDIR" ? "a directory; a .jsonl file was expected" : String(cause)
}

/** Throws an Error that says what is wrong with the line. */
const caseOf = (line: string): Case => {
  const value = parseJson(line)
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new Error(`${short(value)} is no case; { continuation, completion } was expected`)
  }
  const { continuation, completion }: Record<string, unknown> = { ...value }
  if (!Array.isArray(continuation) || continuation.length === 0) {
    throw new Error(`continuation is ${short(continuation)}; the hex bytes of at least one true token were expected`)
  }
  const tokens = continuation.map((token: unknown, i: number) => bytesOfHex(token, `continuation[${i}]`))
  return { continuation: NextToken.continuation(tokens), completion: completionOf(completion) }
}

const completionOf = (completion: unknown): Uint8Array => {
  if (typeof completion === "string") return new TextEncoder().encode(completion)
  if (typeof completion === "object" && completion !== null && "hex" in completion) {
    return bytesOfHex(completion.hex, "completion.hex")
  }
  throw new Error(`completion is ${short(completion)}; a text was expected, or { hex } where it is none`)
}

const parseJson = (line: string): unknown => {
  try {
    return JSON.parse(line)
  } catch {
    throw new Error(`no JSON: ${short(line)}; each line is one case`)
  }
}

const bytesOfHex = (hex: unknown, what: string): Uint8Array => {
  if (typeof hex !== "string" || !/^([0-9a-f]{2})*$/i.test(hex)) {
    throw new Error(`${what} is ${short(hex)}; bytes as pairs of hex digits were expected, such as "c3a9"`)
  }
  return Uint8Array.from(Buffer.from(hex, "hex"))
}

const short = (value: unknown): string => {
  const text = value === undefined ? "missing" : JSON.stringify(value)
  return text.length <= 60 ? text : `${text.slice(0, 57)}...`
}

export const show = ({ verdicts }: Output): string =>
  table(
    ["case", "outcome", "value", "prediction"],
    verdicts.map(({ outcome, prediction, hex, value, unscorable }, i) => [
      String(i + 1),
      outcome,
      value === null ? `- (${unscorable ?? ""})` : String(value),
      prediction === null ? "" : `${JSON.stringify(prediction)}${hex === undefined ? "" : ` ${hex}`}`
    ])
  )
