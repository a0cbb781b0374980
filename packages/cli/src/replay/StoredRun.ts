import { Advantage, Checkpoint, Ledger, padTokenizer, Run, Template, Tokenizer } from "@foretoken/core"
import type { NextToken } from "@foretoken/core"
import { Schema } from "effect"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { InputError } from "../failure.ts"

/** A run with its ledger read. */
export interface StoredRun {
  readonly run: string
  /** The reward that it learned from. */
  readonly reward: string
  readonly template: Template.Template
  readonly advantage: Advantage.Advantage
  readonly steps: ReadonlyArray<Ledger.LedgerStep>
  /** What the ledger ends at where that is not its end; "" where all of it is whole. */
  readonly flaw: string
  /** Text of tokens; nothing where the run has no checkpoint, whose tokenizer would tell. */
  readonly text: (tokens: Int32Array) => string | null
}

/** Of the settings of a run, those that a replay needs. */
const Settings = Schema.Struct({
  template: Template.Template,
  verifier: Schema.Struct({ reward: Schema.String }),
  optimizer: Schema.Struct({ advantage: Schema.String })
})

const estimators: ReadonlyArray<Advantage.Advantage> = [Advantage.grpo, Advantage.drGrpo, Advantage.rloo]

/** Reads a run of reinforcement pre-training: all of its steps, or one. */
export const openStoredRun = Effect.fnUntraced(function* (directory: string, step: number | undefined) {
  const opened = yield* Run.openRun(directory)
  const settings = yield* Schema.decodeUnknownEffect(Settings)(opened.manifest.config).pipe(
    Effect.mapError(() => {
      const message = `${directory}: no run of reinforcement pre-training; only such a run has rollouts to replay`
      return new InputError({ message })
    })
  )
  const { template, verifier, optimizer } = settings
  const advantage = estimators.find(({ name }) => name === optimizer.advantage)
  if (advantage === undefined) {
    const names = estimators.map(({ name }) => name).join(", ")
    const message = `${directory}: its advantage is ${optimizer.advantage}; one of ${names} can be computed again`
    return yield* new InputError({ message })
  }
  const { records, flaw } = yield* Ledger.readLedger(Run.ledgerDirectory(opened))
  const all = Ledger.stepsOf(Ledger.live(records))
  const steps = step === undefined ? all : all.filter((one) => one.step === step)
  if (steps.length === 0) {
    const message =
      step === undefined
        ? `${directory}: its ledger has no steps`
        : `${directory}: --step is ${step}; its ledger has the steps ${all[0]?.step ?? "none"} to ${all.at(-1)?.step ?? "none"}`
    return yield* new InputError({ message })
  }
  return {
    run: directory,
    reward: verifier.reward,
    template,
    advantage,
    steps,
    flaw: Option.match(flaw, { onNone: () => "", onSome: ({ message }) => message }),
    text: yield* spelling(opened)
  } satisfies StoredRun
})

/** A checkpoint carries the tokenizer of the run. */
const spelling = Effect.fnUntraced(function* (run: Run.Run) {
  const [checkpoint] = yield* Checkpoint.listCheckpoints(run)
  if (checkpoint === undefined) return () => null
  // Completions may have rows of a padded embedding.
  const tokenizer = padTokenizer(yield* Tokenizer.load(checkpoint.directory), Infinity)
  return (tokens: Int32Array) => tokenizer.text(tokens)
})

const contextTokens = 24

/** The end of the context of a problem. */
export const contextOf = ({ text }: StoredRun, { document, anchor }: NextToken.Problem): string | null =>
  text(document.tokens.subarray(Math.max(0, anchor - contextTokens), anchor))
