/** A hub on this machine's loopback: the three interfaces that are asked for a model, and what can go wrong with them. */
import { createHash } from "node:crypto"
import type { IncomingMessage, ServerResponse } from "node:http"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"

export interface FakeHub {
  readonly url: string
  /** Paths that were asked, in order. */
  readonly asked: Array<string>
  readonly close: () => Promise<void>
}

export interface Repository {
  readonly commit: string
  readonly files: Readonly<Record<string, Uint8Array>>
  /** The status of every answer, if not the right one. */
  readonly status?: number
  /** Whether this answer with content is broken off in the middle, by the number of such answers before it. */
  readonly breaksOff?: (count: number, path: string) => boolean
  /** What is sent in place of the content. */
  readonly garbled?: (path: string, content: Uint8Array) => Uint8Array
}

/** Files of more than this are large ones: by SHA-256, and their content lies elsewhere. */
const largest = 2000

const gitHash = (content: Uint8Array): string =>
  createHash("sha1").update(`blob ${content.length}\0`).update(content).digest("hex")
const sha256 = (content: Uint8Array): string => createHash("sha256").update(content).digest("hex")
export const blobName = (content: Uint8Array): string => (content.length > largest ? sha256 : gitHash)(content)

export const serveHub = async (repositories: Readonly<Record<string, Repository>>): Promise<FakeHub> => {
  const asked: Array<string> = []
  let contents = 0
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? "", "http://localhost")
    asked.push(pathname)
    const named = Object.entries(repositories).find(([name]) => pathname.includes(`/${name}/`))
    if (named === undefined) return json(response, 404, { error: "Repository not found" })
    const [name, repository] = named
    if (repository.status !== undefined) return json(response, repository.status, { error: "no\nentry" })
    const [, what, path] = new RegExp(`/${name}/(revision|tree|resolve|cdn)/(.*)$`).exec(pathname) ?? []
    if (what === "revision") return json(response, 200, { _id: "1", id: name, sha: repository.commit })
    if (what === "tree") return json(response, 200, Object.entries(repository.files).map(entry))
    const file = path.split("/").at(-1) ?? ""
    if (!Object.hasOwn(repository.files, file)) return json(response, 404, { error: "Entry not found" })
    const content = repository.files[file]
    if (what === "resolve" && content.length > largest) {
      return response.writeHead(302, { location: `/${name}/cdn/${repository.commit}/${file}` }).end()
    }
    const sent = repository.garbled?.(file, content) ?? content
    const isProbe = request.headers.range === "bytes=0-0"
    const breaks = !isProbe && repository.breaksOff?.(contents++, file) === true
    return send(request, response, sent, breaks)
  })
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done))
  // A server that listens on a port has such an address.
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    asked,
    close: () =>
      new Promise((done) => {
        server.closeAllConnections()
        server.close(() => done())
      })
  }
}

const entry = ([path, content]: [string, Uint8Array]) => ({
  type: "file",
  path,
  size: content.length,
  oid: gitHash(content),
  ...(content.length > largest ? { lfs: { oid: sha256(content), size: content.length, pointerSize: 130 } } : {})
})

const json = (response: ServerResponse, status: number, body: unknown) =>
  void response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body))

const send = (request: IncomingMessage, response: ServerResponse, content: Uint8Array, breaks: boolean): void => {
  const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "")
  const [first, last] = range === null ? [0, content.length - 1] : [Number(range[1]), Number(range[2])]
  const part = content.subarray(first, last + 1)
  const headers = {
    etag: `"${blobName(content)}"`,
    "content-length": String(part.length),
    ...(range === null ? {} : { "content-range": `bytes ${first}-${last}/${content.length}` })
  }
  response.writeHead(range === null ? 200 : 206, headers)
  if (!breaks) return void response.end(part)
  response.write(part.subarray(0, part.length >> 1), () => response.destroy())
}
