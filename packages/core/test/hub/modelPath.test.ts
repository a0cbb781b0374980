import { execFileSync } from "node:child_process"
import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync
} from "node:fs"
import { join } from "node:path"
import { Effect } from "effect"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { modelPath } from "../../src/hub/modelPath.ts"
import { pythonHas } from "../data/python.ts"
import { temporaryDirectory } from "../temporary.ts"
import type { FakeHub, Repository } from "./fakeHub.ts"
import { blobName, serveHub } from "./fakeHub.ts"

const text = (content: string) => new TextEncoder().encode(content)
const commit = "0123456789abcdef0123456789abcdef01234567"
const weights = Uint8Array.from({ length: 300_000 }, (_, i) => (i * i) >> 3)
const files = {
  "config.json": text('{"model_type":"llama"}'),
  "generation_config.json": text("{}"),
  "tokenizer.json": text(`{"model":"${"x".repeat(3000)}"}`),
  "tokenizer_config.json": text("{}"),
  "model.safetensors": weights,
  "README.md": text("# nothing that is read"),
  "pytorch_model.bin": text("nor this")
}
const needed = Object.entries(files).filter(([name]) => !/^(README|pytorch)/.test(name))

const root = temporaryDirectory()
let cache = ""
let hubs: Array<FakeHub> = []
beforeEach(() => {
  cache = mkdtempSync(join(root, "hub-"))
  vi.stubEnv("HF_HUB_CACHE", cache)
  vi.stubEnv("HF_TOKEN", "")
  vi.stubEnv("HF_HUB_OFFLINE", "")
  // Nobody listens there: whoever asks fails.
  vi.stubEnv("HF_ENDPOINT", "http://127.0.0.1:9")
})
afterEach(async () => {
  vi.unstubAllEnvs()
  await Promise.all(hubs.map((hub) => hub.close()))
  hubs = []
})

const serve = async (repository: Partial<Repository> = {}, name = "org/name"): Promise<FakeHub> => {
  const hub = await serveHub({ [name]: { commit, files, ...repository } })
  vi.stubEnv("HF_ENDPOINT", hub.url)
  hubs.push(hub)
  return hub
}
const locate = (model: string) => Effect.runPromise(modelPath(model))
const failure = (model: string) => Effect.runPromise(Effect.flip(modelPath(model))).then(({ message }) => message)
const repository = () => join(cache, "models--org--name")
const snapshot = () => join(repository(), "snapshots", commit)
const blobs = () => readdirSync(join(repository(), "blobs")).toSorted()

/** As Python's huggingface_hub lays it out. */
const cached = (content: Readonly<Record<string, Uint8Array>>, revision = "main") => {
  for (const part of ["blobs", "refs", join("snapshots", commit)])
    mkdirSync(join(repository(), part), { recursive: true })
  writeFileSync(join(repository(), "refs", revision), commit)
  for (const [name, bytes] of Object.entries(content)) {
    writeFileSync(join(repository(), "blobs", blobName(bytes)), bytes)
    symlinkSync(join("../../blobs", blobName(bytes)), join(snapshot(), name))
  }
}

describe("a model in the cache", () => {
  it("is found without asking anybody, by branch and by commit", async () => {
    cached(files)
    expect(await locate("org/name")).toBe(snapshot())
    expect(await locate("org/name@main")).toBe(snapshot())
    expect(await locate(`org/name@${commit}`)).toBe(snapshot())
    vi.stubEnv("HF_HUB_OFFLINE", "1")
    expect(await locate("org/name")).toBe(snapshot())
  })

  it("lies where HF_HOME says, too", async () => {
    vi.stubEnv("HF_HUB_CACHE", undefined)
    vi.stubEnv("HUGGINGFACE_HUB_CACHE", undefined)
    const home = cache
    vi.stubEnv("HF_HOME", home)
    cache = join(home, "hub")
    cached(files)
    expect(await locate("org/name")).toBe(snapshot())
  })

  it("of which a file, a shard or a blob is missing is not taken for whole", async () => {
    vi.stubEnv("HF_HUB_OFFLINE", "1")
    const index = text('{"weight_map":{"a":"model-1.safetensors","b":"model-2.safetensors"}}')
    const { "model.safetensors": _, ...small } = files
    cached({ ...small, "model.safetensors.index.json": index, "model-1.safetensors": weights })
    expect(await failure("org/name")).toBe(
      "org/name: is in the cache of the hub without its model-2.safetensors, and HF_HUB_OFFLINE is set"
    )
    symlinkSync("../../blobs/gone", join(snapshot(), "model-2.safetensors"))
    expect(await failure("org/name")).toContain("without its model-2.safetensors")
  })

  it("is fetched the rest of, and nothing that is there already", async () => {
    const { "model.safetensors": _, ...small } = files
    cached(small)
    const hub = await serve()
    expect(await locate("org/name")).toBe(snapshot())
    expect(
      hub.asked.filter((path) => path.includes("resolve")).every((path) => path.endsWith("model.safetensors"))
    ).toBe(true)
    expect(readFileSync(join(snapshot(), "model.safetensors"))).toEqual(Buffer.from(weights))
  })
})

describe("a model on the hub", () => {
  it("is fetched through redirects into the layout that all libraries share, and only what is needed of it", async () => {
    const hub = await serve()
    expect(await locate("org/name")).toBe(snapshot())
    expect(readdirSync(snapshot()).toSorted()).toEqual(needed.map(([name]) => name).toSorted())
    for (const [name, content] of needed) {
      expect(readFileSync(join(snapshot(), name))).toEqual(Buffer.from(content))
      expect(readlinkSync(join(snapshot(), name))).toBe(join("../../blobs", blobName(content)))
    }
    expect(readFileSync(join(repository(), "refs/main"), "utf8")).toBe(commit)
    expect(hub.asked.some((path) => path.includes("/cdn/"))).toBe(true)
    const before = hub.asked.length
    expect(await locate("org/name")).toBe(snapshot())
    expect(hub.asked.length).toBe(before)
  })

  it.skipIf(!pythonHas("huggingface_hub"))("is found by Python's huggingface_hub afterwards", async () => {
    await serve()
    await locate("org/name")
    const script =
      "import huggingface_hub as h; print(h.snapshot_download('org/name', local_files_only=True), " +
      "h.try_to_load_from_cache('org/name', 'model.safetensors'))"
    const python = process.env["FORETOKEN_PYTHON"] ?? "python3"
    const out = execFileSync(python, ["-c", script], { encoding: "utf8", env: { ...process.env, HF_HUB_OFFLINE: "1" } })
    expect(out.trim()).toBe(`${snapshot()} ${join(snapshot(), "model.safetensors")}`)
  })

  it("may be in shards", async () => {
    const { "model.safetensors": _, ...small } = files
    const shards = { "model-1.safetensors": weights, "model-2.safetensors": weights.map((byte) => byte ^ 1) }
    const index = text(JSON.stringify({ weight_map: { a: "model-1.safetensors", b: "model-2.safetensors" } }))
    await serve({ files: { ...small, ...shards, "model.safetensors.index.json": index } })
    expect(await locate("org/name")).toBe(snapshot())
    for (const [name, bytes] of Object.entries(shards))
      expect(readFileSync(join(snapshot(), name))).toEqual(Buffer.from(bytes))
  })

  it("comes whole although connections break off", async () => {
    await serve({ breaksOff: (count) => count % 2 === 0 && count < 3 })
    expect(await locate("org/name")).toBe(snapshot())
    expect(readFileSync(join(snapshot(), "model.safetensors"))).toEqual(Buffer.from(weights))
    expect(blobs()).toEqual(
      needed
        .map(([, content]) => blobName(content))
        .toSorted()
        .filter((name, i, all) => name !== all[i - 1])
    )
  })

  it("that never comes whole leaves no half a file, and is not taken for cached", async () => {
    await serve({ breaksOff: (_, path) => path === "model.safetensors" })
    expect(await failure("org/name")).toMatch(
      /^org\/name: is neither a path here nor in the cache of the hub, and could not be fetched: .+$/
    )
    expect(blobs().some((name) => name.includes("incomplete"))).toBe(false)
    expect(() => lstatSync(join(snapshot(), "model.safetensors"))).toThrow()
    expect(() => readFileSync(join(repository(), "refs/main"))).toThrow()
  })

  it("whose bytes are not those of its hash is refused", async () => {
    await serve({
      garbled: (path, content) => (path === "model.safetensors" ? content.map((byte) => byte ^ 1) : content)
    })
    expect(await failure("org/name")).toMatch(
      /could not be fetched: model\.safetensors came with other bytes than the hub's hash/
    )
  })

  it("is told each file of, before it is fetched", async () => {
    await serve()
    const told: Array<string> = []
    await Effect.runPromise(modelPath("org/name", { onFile: (name, bytes) => told.push(`${name} ${bytes}`) }))
    expect(told).toContain("model.safetensors 300000")
  })
})

describe("what cannot be had is one line", () => {
  const nowhere = "org/name: is neither a path here nor in the cache of the hub"

  it("without a network", async () => {
    expect(await failure("org/name")).toMatch(new RegExp(`^${nowhere}, and could not be fetched: [^\\n]+$`))
    vi.stubEnv("HF_HUB_OFFLINE", "1")
    expect(await failure("org/name")).toBe(`${nowhere}, and HF_HUB_OFFLINE is set`)
  })

  it.each([
    [404, "and the hub has no such model or revision (status 404)"],
    [401, "and the hub has no such model or revision or it asks for a token (HF_TOKEN) that may read it (status 401)"]
  ])("with status %i", async (status, said) => {
    await serve({ status })
    expect(await failure("org/name")).toBe(`${nowhere}, ${said}`)
  })

  it("where the hub has no such weights, or an index that leads elsewhere", async () => {
    const { "model.safetensors": _, ...small } = files
    await serve({ files: small })
    expect(await failure("org/name")).toBe(
      "org/name: has no model.safetensors on the hub; other formats of weights are not read"
    )
    const index = text('{"weight_map":{"a":"../../../elsewhere"}}')
    await serve({ files: { ...small, "model.safetensors.index.json": index } })
    expect(await failure("org/name")).toBe(
      "org/name: has a model.safetensors.index.json on the hub that is no index of weights"
    )
  })

  it.each(["org/na me", "org/-name", "org/a--b", "a..b/name", `org/${"n".repeat(95)}`, "org/näme"])(
    "for %j",
    async (name) => {
      expect(await failure(name)).toBe(
        `${name}: is neither a directory here nor a name on the hub, where an organisation and a model have letters, digits, -, _ and .`
      )
    }
  )

  it.each(["org/name@../up", "org/name@"])("for %j", async (name) => {
    expect(await failure(name)).toBe(`${name}: names no branch, tag or commit behind the @`)
  })
})

describe("what is here", () => {
  it("stays as it is, and goes before the hub", async () => {
    const hub = await serve({}, "packages/core")
    for (const path of [root, "./no/such", "/no/such", "~/no/such", "name", "a/b/c", "preset:nano", "a/b/c.gguf"]) {
      expect(await locate(path)).toBe(path)
    }
    // Tests run in the root of the repository, where this is a directory.
    expect(await locate("packages/core")).toBe("packages/core")
    expect(hub.asked).toEqual([])
  })
})
