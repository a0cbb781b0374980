import { Predicate } from "effect"

/** The first place in which two JSON values differ, in words, for example "batch.documentsPerStep was 4 and is 8". */
export const firstDifference = (
  was: unknown,
  is: unknown,
  except: ReadonlyArray<string>,
  path = ""
): string | undefined => {
  if (except.includes(path)) return undefined
  if (!Predicate.isObjectOrArray(was) || !Predicate.isObjectOrArray(is)) {
    return Object.is(was, is) ? undefined : `${path} was ${shown(was)} and is ${shown(is)}`
  }
  const [before, now] = [new Map(Object.entries(was)), new Map(Object.entries(is))]
  for (const name of new Set([...before.keys(), ...now.keys()])) {
    const below = path === "" ? name : `${path}.${name}`
    const difference = firstDifference(before.get(name), now.get(name), except, below)
    if (difference !== undefined) return difference
  }
  return undefined
}

const shown = (value: unknown): string => (value === undefined ? "not there" : JSON.stringify(value).slice(0, 80))
