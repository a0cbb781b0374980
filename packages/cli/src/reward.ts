/** Rewards as they are named on the command line, and their certificates. */
import { createHash } from "node:crypto"
import { access } from "node:fs/promises"
import { extname } from "node:path"
import { Reward } from "@foretoken/core"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { InputError } from "./failure.ts"
import { version } from "./version.ts"

export interface ChosenReward {
  readonly reward: Reward.Reward<unknown>
  /** SHA-256 (hex) of the file; of a built-in reward, of its name and the version of Foretoken. */
  readonly sourceHash: string
  readonly source:
    | { readonly _tag: "File"; readonly path: string }
    | { readonly _tag: "BuiltIn"; readonly name: string }
}

/** The reward of a user's file, or a built-in one by its name. */
export const openReward = (
  nameOrFile: string
): Effect.Effect<ChosenReward, Reward.RewardFileError | InputError, Scope.Scope> =>
  Effect.gen(function* () {
    const found = builtIn.find(({ name }) => name === nameOrFile)
    if (found !== undefined) {
      const sourceHash = createHash("sha256").update(`foretoken ${version} ${found.name}`).digest("hex")
      return { reward: found, sourceHash, source: { _tag: "BuiltIn", name: found.name } }
    }
    if (extname(nameOrFile) === "") {
      const names = builtIn.map(({ name }) => name).join(", ")
      const message = `there is no reward ${JSON.stringify(nameOrFile)}; a file FILE.ts or one of ${names} was expected`
      return yield* new InputError({ message })
    }
    const { reward, sourceHash } = yield* Reward.loadReward(nameOrFile)
    if (reward.claims.needsModel) {
      const message = `${nameOrFile}: the reward ${reward.name} asks a model; here one that judges without was expected`
      return yield* new InputError({ message })
    }
    // It says that it needs no model; where it asks for one all the same, its rollouts are unscorable with that reason.
    const alone = reward as Reward.Reward<unknown>
    return { reward: alone, sourceHash, source: { _tag: "File", path: nameOrFile } }
  })

const isReward = (value: unknown): value is Reward.Reward<unknown> =>
  typeof value === "object" && value !== null && "name" in value && "claims" in value && "score" in value

const exported: ReadonlyArray<unknown> = Object.values(Reward)

/** Rewards that need neither settings nor a model. */
const builtIn = exported.filter(isReward).filter(({ claims }) => !claims.needsModel)

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
