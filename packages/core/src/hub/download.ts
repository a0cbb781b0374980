/** Fetches what is missing of a model into the cache. A file is there whole and with the hash it was asked for, or not at all. */
import { createHash } from "node:crypto"
import { mkdir, open, readFile, rename, rm, symlink, writeFile } from "node:fs/promises"
import { dirname, join, relative } from "node:path"
import type { HubName } from "./name.ts"
import { isCommit, isThere, shardsIn, smallFiles, weightIndex, wholeWeights } from "./cache.ts"

export interface Download extends HubName {
  /** The repository's directory in the cache. */
  readonly directory: string
  readonly signal: AbortSignal
  /** Called before a file is fetched. */
  readonly onFile: (name: string, bytes: number) => void
}

/** What is wrong with the repository itself: asking again would not help. */
export class Unfit extends Error {}

interface RemoteFile {
  readonly path: string
  readonly size: number
  /** Git's SHA-1 of a small file, SHA-256 of a large one. */
  readonly hash: string
}

/** The directory with the files of the revision's newest commit. Rejects with Unfit, HubApiError, or what fetch rejects with. */
export const download = async (asked: Download): Promise<string> => {
  const hub = await hubOf(asked)
  const commit = await hub.commit()
  const snapshot = join(asked.directory, "snapshots", commit)
  const files = new Map((await hub.files(commit)).map((file) => [file.path, file]))
  const fetchFile = async (path: string) => {
    const file = files.get(path)
    if (file === undefined) throw new Unfit(`has no ${path} on the hub, but an index that names it`)
    await intoCache(asked, hub, commit, file)
  }
  if (!files.has("config.json")) throw new Unfit("has no config.json on the hub")
  if (!files.has(wholeWeights) && !files.has(weightIndex)) {
    throw new Unfit("has no model.safetensors on the hub; other formats of weights are not read")
  }
  for (const path of smallFiles) if (files.has(path)) await fetchFile(path)
  if (files.has(wholeWeights)) await fetchFile(wholeWeights)
  else {
    await fetchFile(weightIndex)
    const shards = shardsIn(await readFile(join(snapshot, weightIndex), "utf8"))
    if (shards === undefined) throw new Unfit(`has a ${weightIndex} on the hub that is no index of weights`)
    for (const path of shards) await fetchFile(path)
  }
  // Last: a revision that the cache knows is one of which everything is there.
  if (!isCommit(asked.revision)) {
    const ref = join(asked.directory, "refs", asked.revision)
    await mkdir(dirname(ref), { recursive: true })
    await writeFile(ref, commit)
  }
  return snapshot
}

type Hub = Awaited<ReturnType<typeof hubOf>>

/** The hub's interface. HF_ENDPOINT is where it is, HF_TOKEN who asks. */
const hubOf = async ({ repo, revision, signal }: Download) => {
  // Loading it takes a while, and most models are local.
  const { downloadFile, listFiles, modelInfo } = await import("@huggingface/hub")
  const { HF_ENDPOINT: endpoint, HF_TOKEN: token } = process.env
  const common = {
    fetch: (url: string | URL | Request, options?: RequestInit) => fetch(url, { ...options, signal }),
    ...(endpoint === undefined || endpoint === "" ? {} : { hubUrl: endpoint.replace(/\/+$/, "") }),
    ...(token === undefined || token === "" ? {} : { accessToken: token })
  }
  return {
    commit: async (): Promise<string> => {
      const { sha } = await modelInfo({ ...common, name: repo, revision, additionalFields: ["sha"] })
      return isCommit(sha) ? sha : unexpected("a commit", sha)
    },
    files: async (commit: string): Promise<ReadonlyArray<RemoteFile>> => {
      const files: Array<RemoteFile> = []
      for await (const { type, path, size, oid, lfs } of listFiles({ ...common, repo, revision: commit })) {
        if (type !== "file" || path.includes("/")) continue
        const hash = lfs?.oid ?? oid
        const isHash = typeof hash === "string" && /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/.test(hash)
        files.push({ path, size, hash: isHash ? hash : unexpected(`the hash of ${path}`, hash) })
      }
      return files
    },
    open: async (commit: string, path: string): Promise<Blob> =>
      (await downloadFile({ ...common, repo, revision: commit, path })) ?? unexpected(path, null)
  }
}

const unexpected = (what: string, got: unknown): never => {
  throw new Unfit(`the hub gave ${JSON.stringify(got)?.slice(0, 60)} for ${what}`)
}

/** snapshots/COMMIT/FILE as a link to blobs/HASH, where the link is not there yet. */
const intoCache = async (asked: Download, hub: Hub, commit: string, file: RemoteFile): Promise<void> => {
  const link = join(asked.directory, "snapshots", commit, file.path)
  if (await isThere(link)) return
  const blob = join(asked.directory, "blobs", file.hash)
  if (!(await isThere(blob))) {
    asked.onFile(file.path, file.size)
    await mkdir(dirname(blob), { recursive: true })
    // A name of its own: another process may fetch the same file.
    const incomplete = `${blob}.${process.pid}.incomplete`
    try {
      await writeVerified(incomplete, await hub.open(commit, file.path), file)
      await rename(incomplete, blob)
    } catch (cause) {
      await rm(incomplete, { force: true })
      throw cause
    }
  }
  await mkdir(dirname(link), { recursive: true })
  await rm(link, { force: true })
  await symlink(relative(dirname(link), blob), link)
}

const writeVerified = async (path: string, content: Blob, { path: name, size, hash }: RemoteFile): Promise<void> => {
  const digest = hash.length === 64 ? createHash("sha256") : createHash("sha1").update(`blob ${size}\0`)
  const file = await open(path, "w")
  let written = 0
  try {
    for await (const bytes of content.stream()) {
      digest.update(bytes)
      written += bytes.length
      await file.write(bytes)
    }
    await file.sync()
  } finally {
    await file.close()
  }
  if (written !== size) throw new Error(`${name} broke off after ${written} of ${size} bytes`)
  if (digest.digest("hex") !== hash) throw new Error(`${name} came with other bytes than the hub's hash ${hash} tells`)
}
