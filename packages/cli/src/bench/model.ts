import { initialWeights, llamaFeatures, makeModelConfig } from "@foretoken/core"
import type { LoadedModel, Tokenizer } from "@foretoken/core"
import * as Effect from "effect/Effect"
import { InputError } from "../failure.ts"
import { openModel } from "../model.ts"
import type { ModelFailure } from "../model.ts"

const prefix = "sizes:"
const names = ["layers", "width", "heads", "width inside the MLP", "vocabulary"]

/** A directory, preset:NAME, or sizes:LAYERS,D,HEADS,FFN,VOCAB for a new model without a tokenizer. */
export const benchModel = (model: string, seed: number): Effect.Effect<LoadedModel, ModelFailure | InputError> =>
  model.startsWith(prefix)
    ? newModel(model, model.slice(prefix.length).split(","), seed)
    : openModel({ model, tokenizer: undefined }, seed)

const newModel = Effect.fnUntraced(function* (model: string, parts: ReadonlyArray<string>, seed: number) {
  const refuse = (wrong: string) => new InputError({ message: `--model is ${JSON.stringify(model)}; ${wrong}` })
  if (parts.length !== names.length || parts.some((part) => !/^[1-9][0-9]{0,8}$/.test(part))) {
    return yield* refuse(`after ${prefix} five whole numbers were expected: ${names.join(", ")}`)
  }
  const [layers, hiddenSize, heads, intermediateSize, vocabSize] = parts.map(Number)
  const none = { _tag: "none" } as const
  const config = yield* Effect.mapError(
    Effect.fromResult(
      makeModelConfig({
        ...llamaFeatures,
        layers,
        hiddenSize,
        heads,
        kvHeads: heads,
        headDim: hiddenSize / heads,
        intermediateSize,
        vocabSize,
        tieWordEmbeddings: true,
        maxPositions: 1 << 20,
        bos: none,
        eos: none
      })
    ),
    ({ reason }) => refuse(reason)
  )
  const weights = initialWeights(config, seed)
  return { stored: { config, weights, tokenizerFiles: {} }, tokenizer: numbers(vocabSize) }
})

/** Two bytes a token: what samplers and verifiers need of a tokenizer where there is no text. */
const numbers = (vocabSize: number): Tokenizer.Tokenizer => {
  const bytes = (id: number) => Uint8Array.of(id & 255, (id >> 8) & 255)
  const bytesOf = (ids: ArrayLike<number>) => Uint8Array.from(Array.from(ids, (id) => [...bytes(id)]).flat())
  return {
    name: "numbers",
    vocabSize,
    encode: () => new Int32Array(0),
    encodePrompt: () => new Int32Array(0),
    specialTokens: [],
    namedTokens: {},
    chatTemplate: undefined,
    bytes,
    bytesOf,
    text: (ids) => new TextDecoder().decode(bytesOf(ids)),
    tokenId: () => undefined,
    bos: undefined,
    eos: undefined,
    prefix: new Int32Array(0),
    files: new Map()
  }
}
