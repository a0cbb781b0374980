/** What a user calls a model -> where it lies on this machine: a path as it is, org/name out of the hub's cache or the hub. */
import { join } from "node:path"
import { Effect, Schedule } from "effect"
import { cachedCommit, isThere, missingFile } from "./cache.ts"
import { download, Unfit } from "./download.ts"
import { HubError } from "./HubError.ts"
import type { HubName } from "./name.ts"
import { hubName } from "./name.ts"

export interface ModelPathOptions {
  /** Called before a file is fetched, with its size in bytes. */
  readonly onFile?: (name: string, bytes: number) => void
}

/**
 * The directory or file of a model. `preset:NAME` and what is there on this machine stay as they are; so does what does not look like
 * org/name. A model of which the cache has all files is never asked for on the network (HF_HUB_CACHE and HF_HOME say where the cache
 * is); others are fetched from HF_ENDPOINT, with HF_TOKEN, unless HF_HUB_OFFLINE is set. `org/name@revision` takes a branch, a tag or a commit.
 */
export const modelPath = (given: string, options: ModelPathOptions = {}): Effect.Effect<string, HubError> =>
  Effect.gen(function* () {
    const named = given.startsWith("preset:") ? undefined : hubName(given)
    if (named === undefined || (yield* Effect.promise(() => isThere(given)))) return given
    const name = yield* Effect.fromResult(named)
    const repository = yield* Effect.promise(() => repositoryOf(name))
    const cached = yield* Effect.promise(() => inCache(repository, name))
    if (cached._tag === "Whole") return cached.snapshot
    if (isOffline())
      return yield* new HubError({ model: given, problem: `${cached.problem}, and HF_HUB_OFFLINE is set` })
    return yield* Effect.tryPromise({
      try: (signal) => download({ ...name, directory: repository, signal, onFile: options.onFile ?? (() => {}) }),
      catch: (cause) => cause
    }).pipe(
      Effect.retry({ while: mayPass, schedule: Schedule.exponential("200 millis"), times: 3 }),
      Effect.mapError((cause) => new HubError({ model: given, problem: problemOf(cause, cached.problem) }))
    )
  })

/** The library knows where the cache is, by HF_HUB_CACHE, HF_HOME and XDG_CACHE_HOME. */
const repositoryOf = async ({ repo }: HubName): Promise<string> => {
  const { getHFHubCachePath, getRepoFolderName } = await import("@huggingface/hub")
  return join(getHFHubCachePath(), getRepoFolderName({ type: "model", name: repo }))
}

type Cached =
  | { readonly _tag: "Whole"; readonly snapshot: string }
  | { readonly _tag: "Missing"; readonly problem: string }

const inCache = async (repository: string, { revision }: HubName): Promise<Cached> => {
  const commit = await cachedCommit(repository, revision)
  const nothing = "is neither a path here nor in the cache of the hub"
  if (commit === undefined) return { _tag: "Missing", problem: nothing }
  const snapshot = join(repository, "snapshots", commit)
  if (!(await isThere(snapshot))) return { _tag: "Missing", problem: nothing }
  const missing = await missingFile(snapshot)
  if (missing === undefined) return { _tag: "Whole", snapshot }
  return { _tag: "Missing", problem: `is in the cache of the hub without its ${missing}` }
}

const isOffline = (): boolean => /^(?:1|on|yes|true)$/i.test(process.env["HF_HUB_OFFLINE"] ?? "")

/** Broken connections and servers that are busy; not what the hub has decided. */
const mayPass = (cause: unknown): boolean => {
  const status = statusOf(cause)
  return !(cause instanceof Unfit) && (status === undefined || status >= 500 || status === 429)
}

const statusOf = (cause: unknown): number | undefined =>
  cause instanceof Error && "statusCode" in cause && typeof cause.statusCode === "number" ? cause.statusCode : undefined

const problemOf = (cause: unknown, cached: string): string => {
  if (cause instanceof Unfit) return cause.message
  const status = statusOf(cause)
  if (status === 401 || status === 403 || status === 404) {
    const why = status === 404 ? "" : " or it asks for a token (HF_TOKEN) that may read it"
    return `${cached}, and the hub has no such model or revision${why} (status ${status})`
  }
  return `${cached}, and could not be fetched: ${reasonOf(cause)}`
}

/** fetch says "fetch failed" and has the reason as its cause. */
const reasonOf = (cause: unknown): string => {
  if (!(cause instanceof Error)) return String(cause)
  const deeper = cause.cause instanceof Error ? cause.cause : undefined
  return (deeper?.message || (deeper && "code" in deeper ? String(deeper.code) : "") || cause.message).split("\n")[0]
}
