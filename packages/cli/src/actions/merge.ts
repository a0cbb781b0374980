import { loadModel, merged, saveModel } from "@foretoken/core"
import * as Effect from "effect/Effect"
import { InputError } from "../failure.ts"

interface Input {
  readonly adapters: string
  readonly out: string
}

interface Output {
  readonly out: string
  readonly base: string
  readonly merged: number
}

export const run = ({ adapters, out }: Input): Effect.Effect<Output, Error> =>
  Effect.gen(function* () {
    const model = yield* loadModel(adapters)
    const { lora } = model.config
    if (lora === undefined) {
      return yield* new InputError({ message: `${adapters}: has no adapters; a directory of adapters was expected` })
    }
    const whole = merged(model)
    yield* saveModel(out, whole)
    const changed = Object.keys(whole.weights).filter((name) => whole.weights[name] !== model.weights[name])
    return { out, base: lora.base, merged: changed.length }
  })

export const show = ({ out, base, merged: count }: Output): string =>
  `${out}: ${base} with its adapters merged into ${count} weights`
