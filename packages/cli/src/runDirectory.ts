import { access } from "node:fs/promises"
import { basename, extname, join, resolve } from "node:path"
import * as Effect from "effect/Effect"

/** The last part of a path; of a model in the hub's cache its name there, not its commit. */
const nameOf = (model: string): string =>
  /models--.*--(.+)[\\/]snapshots[\\/][^\\/]+$/.exec(model)?.[1] ?? basename(resolve(model))

/** runs/rpt-stories15M-train-seed1, or the first of -2, -3, ... that is free. */
export const freeRunDirectory = (of: {
  readonly objective: string
  readonly model: string
  readonly corpus: string
  readonly seed: number
}): Effect.Effect<string> =>
  Effect.promise(async () => {
    const model = nameOf(of.model).replace(":", "-")
    const corpus = basename(of.corpus, extname(of.corpus))
    const name = join("runs", [of.objective, model, corpus, `seed${of.seed}`].join("-"))
    for (let number = 1; ; number++) {
      const directory = number === 1 ? name : `${name}-${number}`
      const isFree = await access(directory).then(
        () => false,
        () => true
      )
      if (isFree) return directory
    }
  })
