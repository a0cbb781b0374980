/** Flags that several commands have, and the checks of their values. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { CliError, Flag } from "effect/cli"
import { locate } from "./locate.ts"

/** A value that reads well but is out of range: said in one line, and no misuse of the command. */
const check =
  (name: string, holds: (value: number) => boolean, right: string) =>
  (flag: Flag.Flag<number>): Flag.Flag<number> =>
    Flag.mapEffect(flag, (value) => {
      if (holds(value)) return Effect.succeed(value)
      const userMessage = `--${name} is ${value}; ${right} was expected`
      return Effect.fail(new CliError.UserError({ cause: userMessage, userMessage }))
    })

/** A whole number of at least `least` (and at most `most`). */
export const whole = (name: string, least: number, most: number = Number.MAX_SAFE_INTEGER): Flag.Flag<number> => {
  const right = most === Number.MAX_SAFE_INTEGER ? `a whole number of at least ${least}` : `one of ${least} to ${most}`
  return Flag.Int(name).pipe(check(name, (value) => value >= least && value <= most, right))
}

/** A finite number for which `holds`; `right` says which these are. */
export const number = (name: string, holds: (value: number) => boolean, right: string): Flag.Flag<number> =>
  Flag.Finite(name).pipe(check(name, holds, right))

export const positive = (name: string): Flag.Flag<number> => number(name, (value) => value > 0, "a number above 0")

const units = { kb: 1e3, mb: 1e6, gb: 1e9, tb: 1e12, kib: 2 ** 10, mib: 2 ** 20, gib: 2 ** 30, tib: 2 ** 40 }

/** An amount of memory in bytes, from "4GB", "1.5 GiB" or "800MB". */
export const bytes = (name: string): Flag.Flag<number> =>
  Flag.String(name).pipe(
    Flag.withMetavar("4GB"),
    Flag.mapEffect((text) => {
      const [, amount, unit = ""] = /^([0-9]+(?:\.[0-9]+)?) ?([kmgt]i?b)$/i.exec(text) ?? []
      const size = Object.entries(units).find(([known]) => known === unit.toLowerCase())
      const value = size === undefined ? NaN : Math.floor(Number(amount) * size[1])
      if (value > 0 && Number.isSafeInteger(value)) return Effect.succeed(value)
      const userMessage = `--${name} is ${JSON.stringify(text)}; an amount such as 4GB, 1.5GiB or 800MB was expected`
      return Effect.fail(new CliError.UserError({ cause: userMessage, userMessage }))
    })
  )

/** A flag with a description that tells its default. */
export const usually =
  <const Value extends string | number>(value: Value, description: string) =>
  <A>(flag: Flag.Flag<A>): Flag.Flag<A | Value> =>
    flag.pipe(Flag.withDescription(`${description} (default: ${value})`), Flag.withDefault(value))

/** A flag that may be left out; undefined then. */
export const maybe = <A>(flag: Flag.Flag<A>): Flag.Flag<A | undefined> =>
  Flag.map(Flag.optional(flag), Option.getOrUndefined)

/** Names, separated by commas; none where it is left out. */
export const names = (name: string): Flag.Flag<ReadonlyArray<string>> =>
  Flag.String(name).pipe(
    Flag.withMetavar("NAME,..."),
    Flag.map((text) => text.split(",").map((part) => part.trim())),
    Flag.withDefault<ReadonlyArray<string>>([])
  )

/** A model by its path or its name on the hub, as the path where it lies. */
export const modelFlag: Flag.Flag<string> = Flag.String("model").pipe(Flag.mapEffect(locate))

export const model = modelFlag.pipe(
  Flag.withMetavar("DIR|FILE|ORG/NAME"),
  Flag.withDescription(
    "a Hugging Face directory (config.json, model.safetensors, tokenizer.json), a GGUF file, a llama2.c checkpoint, or " +
      "the name of a model on the hub"
  )
)

export const storages = ["f32", "file"] as const

export const storage = Flag.Literals("storage", storages).pipe(
  usually(
    "f32",
    "how weights are kept: file leaves F16 and BF16 (no quantised types) in two bytes and widens them where they are used, which takes some half of " +
      "the memory; sampling, which widens all of them for every token, then takes several times as long"
  )
)

export const corpus = Flag.String("corpus").pipe(
  Flag.withMetavar("FILE|dials"),
  Flag.withDescription("a .txt file, a .jsonl file, or the generated corpus dials")
)

export const field = Flag.String("field").pipe(
  Flag.withMetavar("NAME"),
  usually("text", "where a line of a .jsonl file has its text")
)

export const seed = Flag.Int("seed").pipe(usually(0, "every draw follows from it"))

export const backendNames = ["onnx", "tfjs", "reference"] as const
export const deviceNames = ["cpu", "cuda", "webgpu", "tensorflow", "wasm"] as const

export const backend = {
  backend: Flag.Literals("backend", backendNames).pipe(usually("onnx", "what computes")),
  device: maybe(
    Flag.Literals("device", deviceNames).pipe(
      Flag.withDescription(
        "onnx: cpu (its default), cuda, webgpu; tfjs: tensorflow, wasm (default: tensorflow where it is there); " +
          "reference: cpu"
      )
    )
  )
}

/** Of sampling where greedy sampling makes sense, too. */
export const temperature = (usual: number): Flag.Flag<number> =>
  number("temperature", (value) => value >= 0, "0 or more").pipe(
    usually(usual, "of sampling; 0 takes the likeliest token")
  )

export const reward = Flag.String("reward").pipe(
  Flag.withMetavar("NAME|FILE.ts"),
  usually("prefixMatch", "a built-in reward, or the default export of a file")
)

/** Those of `Template.builtin`. */
const builtinTemplates = ["boxed", "candidates", "terse", "escaped", "compact"] as const
export type BuiltinTemplate = (typeof builtinTemplates)[number]

/** And that of a model with a chat template. */
export const templateNames = [...builtinTemplates, "chat"] as const
export type TemplateName = (typeof templateNames)[number]

export const template = maybe(
  Flag.Literals("template", templateNames).pipe(
    Flag.withDescription(
      "how the model is asked and how it answers; chat asks in the model's own chat template " +
        "(default: compact where the vocabulary has <|think|>, else boxed)"
    )
  )
)

/** Where there need not be a model. */
export const builtinTemplate = maybe(
  Flag.Literals("template", builtinTemplates).pipe(
    Flag.withDescription(
      "how the model is asked and how it answers (default: compact where the vocabulary has <|think|>, else boxed)"
    )
  )
)
