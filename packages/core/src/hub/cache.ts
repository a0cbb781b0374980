/**
 * The cache that all of Hugging Face's libraries share: models--org--name/ with
 * - refs/REVISION: the commit that a branch or tag stood for when it was asked
 * - snapshots/COMMIT/FILE: links to
 * - blobs/ETAG: the contents, by SHA-256 (large files) or Git's hash of them
 */
import { access, readFile } from "node:fs/promises"
import { join } from "node:path"
import { Predicate, Result } from "effect"
import { parseJson } from "../storage/boundedJson.ts"

/** What a model is made of. Of the weights either one file or an index and what it names. */
export const wholeWeights = "model.safetensors"
export const weightIndex = "model.safetensors.index.json"
export const smallFiles: ReadonlyArray<string> = [
  "config.json",
  "generation_config.json",
  "tokenizer.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "added_tokens.json",
  "chat_template.jinja"
]

export const isCommit = (revision: string): boolean => /^[0-9a-f]{40}$/.test(revision)

/** org/name@COMMIT of a snapshot in a cache; undefined for any other path. */
export const nameOfSnapshot = (path: string): string | undefined => {
  const parts = /[/\\]models--([^/\\]+?)--([^/\\]+)[/\\]snapshots[/\\]([0-9a-f]{40})[/\\]?$/.exec(path)
  return parts === null ? undefined : `${parts[1]}/${parts[2]}@${parts[3]}`
}

/** The commit that a revision stood for when it was last asked. */
export const cachedCommit = async (repository: string, revision: string): Promise<string | undefined> => {
  if (isCommit(revision)) return revision
  const commit = await readFile(join(repository, "refs", revision), "utf8").then(
    (text) => text.trim(),
    () => undefined
  )
  return commit !== undefined && isCommit(commit) ? commit : undefined
}

/** The first file that a model in this directory cannot do without and that is not there. */
export const missingFile = async (snapshot: string): Promise<string | undefined> => {
  for (const name of ["config.json", "tokenizer.json"]) if (!(await isThere(join(snapshot, name)))) return name
  if (await isThere(join(snapshot, wholeWeights))) return undefined
  const shards = await readFile(join(snapshot, weightIndex), "utf8").then(shardsIn, () => undefined)
  if (shards === undefined) return wholeWeights
  for (const name of shards) if (!(await isThere(join(snapshot, name)))) return name
  return undefined
}

/** The files that an index of weights names; undefined where it is no index. A name that leads out of the directory is none. */
export const shardsIn = (index: string): ReadonlyArray<string> | undefined => {
  const json = Result.getOrUndefined(parseJson(index))
  const names = Predicate.isObject(json) && "weight_map" in json ? json.weight_map : undefined
  if (!Predicate.isObject(names)) return undefined
  const shards = [...new Set(Object.values<unknown>({ ...names }))]
  return shards.every((name) => typeof name === "string" && /^[\w][\w.-]*$/.test(name)) ? shards.map(String) : undefined
}

/** Links are followed: a link to a blob that is gone is not there. */
export const isThere = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false
  )
