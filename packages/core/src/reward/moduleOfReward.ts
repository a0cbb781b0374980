/** A user's module and the reward in it. Runs on the main thread and in the reward's worker. */
import { registerHooks } from "node:module"
import { basename, extname } from "node:path"
import { fileURLToPath } from "node:url"
import { type Claims, claims } from "./Claims.ts"
import { describe, pure, type PureScore, type Reward } from "./Reward.ts"

/** What is wrong with the module, as one line without its path. */
class Unusable extends Error {}

/** Imports a module and takes its default export. Throws Unusable. */
export const importReward = async (url: string): Promise<Reward<unknown, unknown>> => {
  resolveOurs()
  const module: unknown = await import(/* @vite-ignore */ url).catch((cause: unknown) => {
    throw new Unusable(importProblem(cause, url))
  })
  const what = typeof module === "object" && module !== null && "default" in module ? module.default : undefined
  if (what === undefined) throw new Unusable(`it has no default export; ${right}`)
  // A function that fits by its type cannot be told from one that does not before it is called: judge watches over it.
  if (typeof what === "function") return pure(basename(url, extname(url)), what as PureScore)
  if (isReward(what)) return { ...what, claims: claimsOf(what) }
  throw new Unusable(`its default export is ${nameOf(what)}; ${right}`)
}

/**
 * A reward file may lie anywhere: where nothing is installed beside it, `@foretoken/core` and `effect` are those that run
 * it.
 */
const resolveOurs = (): void => {
  if (resolving) return
  resolving = true
  registerHooks({
    resolve: (specifier, context, next) => {
      try {
        return next(specifier, context)
      } catch (cause) {
        if (!ours.test(specifier)) throw cause
        return next(specifier, { ...context, parentURL: import.meta.url })
      }
    }
  })
}

let resolving = false
const ours = /^(@foretoken\/core|effect)(\/|$)/

const right =
  "`export default` a reward (Reward.pure, Reward.make, a combination) or a function (rollout, problem) => number"

type Untyped = Pick<Reward<unknown, unknown>, "name" | "score"> & { readonly claims?: Partial<Claims> }

const isReward = (value: unknown): value is Untyped =>
  typeof value === "object" &&
  value !== null &&
  "name" in value &&
  typeof value.name === "string" &&
  "score" in value &&
  typeof value.score === "function"

const claimsOf = ({ claims: given }: Untyped): Claims => {
  try {
    return claims(given ?? {})
  } catch (cause) {
    throw new Unusable(`its claims cannot hold: ${describe(cause)}`)
  }
}

const nameOf = (value: unknown): string =>
  typeof value === "object" && value !== null
    ? `an object of ${Object.keys(value).join(", ") || "nothing"}`
    : `the ${typeof value} ${JSON.stringify(value)}`

const importProblem = (cause: unknown, url: string): string => {
  const text = describe(cause)
  if (cause instanceof SyntaxError) return `${lineOf(cause, url)}${text}`
  const code = cause instanceof Error && "code" in cause ? cause.code : undefined
  if (code === "ERR_MODULE_NOT_FOUND") return `an import of it is not there: ${text}`
  return `${lineOf(cause, url)}it throws while it is loaded: ${text}`
}

/** "line 3: " where the error tells that it is in this file. */
const lineOf = (cause: unknown, url: string): string => {
  const stack = cause instanceof Error ? (cause.stack ?? "") : ""
  for (const place of [url, fileURLToPath(url)]) {
    const at = stack.indexOf(`${place}:`)
    const line = at < 0 ? null : /^\d+/.exec(stack.slice(at + place.length + 1))
    if (line !== null) return `line ${line[0]}: `
  }
  return ""
}
