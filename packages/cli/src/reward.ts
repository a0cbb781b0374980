/** Rewards as they are named on the command line, and their certificates. */
import { createHash } from "node:crypto"
import { access } from "node:fs/promises"
import { extname } from "node:path"
import { Reward } from "@foretoken/core"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { InputError } from "./failure.ts"
import { version } from "./version.ts"

export interface ChosenReward<R = Reward.Truth> {
  readonly reward: Reward.Reward<unknown, R>
  /** SHA-256 (hex) of the file; of a built-in reward, of its name and the version of Foretoken. */
  readonly sourceHash: string
  readonly source:
    | { readonly _tag: "File"; readonly path: string }
    | { readonly _tag: "BuiltIn"; readonly name: string }
}

/** Built-in rewards by name. */
const builtin: Readonly<Record<string, Reward.Reward<unknown, Reward.Truth>>> = Reward.builtin

/** The reward of a user's file, or a built-in one by its name. */
export const openReward = (
  nameOrFile: string
): Effect.Effect<ChosenReward, Reward.RewardFileError | InputError, Scope.Scope> =>
  Effect.gen(function* () {
    if (Object.hasOwn(builtin, nameOrFile)) {
      const sourceHash = createHash("sha256").update(`foretoken ${version} ${nameOrFile}`).digest("hex")
      return { reward: builtin[nameOrFile], sourceHash, source: { _tag: "BuiltIn", name: nameOrFile } }
    }
    if (extname(nameOrFile) === "") {
      const names = Object.keys(builtin).join(", ")
      const message = `there is no reward ${JSON.stringify(nameOrFile)}; a file FILE.ts or one of ${names} was expected`
      return yield* new InputError({ message })
    }
    const { reward, sourceHash } = yield* Reward.loadReward(nameOrFile)
    return { reward, sourceHash, source: { _tag: "File", path: nameOrFile } }
  })

/** As `openReward`, for where there is no model to ask: a reward that needs one is refused. */
export const openLoneReward = (
  nameOrFile: string
): Effect.Effect<ChosenReward<never>, Reward.RewardFileError | InputError, Scope.Scope> =>
  Effect.gen(function* () {
    const chosen = yield* openReward(nameOrFile)
    if (chosen.reward.claims.needsModel) {
      const message = `${nameOrFile} asks a model, and none is at hand here; a reward that judges without was expected`
      return yield* new InputError({ message })
    }
    // It says that it needs no model; where it asks for one all the same, its rollouts are unscorable with that reason.
    return { ...chosen, reward: chosen.reward as Reward.Reward<unknown> }
  })

export interface FoundCertificate {
  readonly path: string
  readonly certificate: Reward.Certificate
}

/**
 * The certificate at `path`, or else the one beside the reward's file; none where there is none. One that was made for
 * another source is refused.
 */
export const findCertificate = Effect.fnUntraced(function* (
  { reward, source, sourceHash }: ChosenReward,
  given: string | undefined
) {
  const beside = source._tag === "File" ? [Reward.certificatePath(source.path)] : []
  const [path] = given === undefined ? yield* Effect.promise(() => existing(beside)) : [given]
  if (path === undefined) return undefined
  const certificate = yield* Reward.readCertificate(path)
  if (certificate.sourceHash === sourceHash) return { path, certificate } satisfies FoundCertificate
  const what = source._tag === "File" ? source.path : source.name
  const message =
    certificate.reward === reward.name
      ? `${path}: ${what} has changed since it was certified; \`foretoken reward check ${what}\` certifies it as it is now`
      : `${path}: certifies the reward ${certificate.reward}, and ${what} is in use`
  return yield* new InputError({ message })
})

const existing = async (paths: ReadonlyArray<string>): Promise<ReadonlyArray<string>> => {
  const there = await Promise.all(
    paths.map((path) =>
      access(path).then(
        () => true,
        () => false
      )
    )
  )
  return paths.filter((_, i) => there[i])
}
