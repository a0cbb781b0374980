import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest"
import { serveHub } from "../../packages/core/test/hub/fakeHub.ts"
import { inProcess } from "./foretoken.ts"
import { saveTinyModel } from "./tinyModel.ts"

const cache = mkdtempSync(join(tmpdir(), "foretoken-hub-"))
afterAll(() => rmSync(cache, { recursive: true, force: true }))
const commit = "0123456789abcdef0123456789abcdef01234567"
const own = join(cache, "own")

beforeAll(async () => {
  await saveTinyModel(own)
  vi.stubEnv("HF_HUB_CACHE", cache)
  vi.stubEnv("HF_HUB_OFFLINE", "1")
  const repository = join(cache, "models--org--tiny")
  for (const part of ["blobs", "refs", `snapshots/${commit}`]) mkdirSync(join(repository, part), { recursive: true })
  writeFileSync(join(repository, "refs/main"), commit)
  for (const name of readdirSync(own)) {
    writeFileSync(join(repository, "blobs", name), readFileSync(join(own, name)))
    symlinkSync(`../../blobs/${name}`, join(repository, "snapshots", commit, name))
  }
})
afterAll(() => vi.unstubAllEnvs())

const text = "Here the dial shows 4."

describe("a model of the hub", () => {
  it("is scored out of the cache as it is in a directory", async () => {
    const cached = await inProcess(["score", "--model", "org/tiny", "--text", text, "--json"])
    const local = await inProcess(["score", "--model", own, "--text", text, "--json"])
    expect([cached.stderr, cached.code]).toEqual(["", 0])
    expect(JSON.parse(cached.stdout).nll).toBe(JSON.parse(local.stdout).nll)
  })

  it("is fetched, which is told on stderr alone", async () => {
    const files = Object.fromEntries(
      readdirSync(own).map((name) => [name, new Uint8Array(readFileSync(join(own, name)))])
    )
    const hub = await serveHub({ "org/far": { commit, files } })
    vi.stubEnv("HF_HUB_OFFLINE", "0")
    vi.stubEnv("HF_ENDPOINT", hub.url)
    const { code, stdout, stderr } = await inProcess(["score", "--model", "org/far", "--text", text, "--json"])
    await hub.close()
    vi.stubEnv("HF_HUB_OFFLINE", "1")
    expect(code).toBe(0)
    expect(JSON.parse(stdout).ids.length).toBeGreaterThan(5)
    expect(stderr).toMatch(/^foretoken: fetching model\.safetensors of org\/far \(\d+\.\d MB\)$/m)
  })

  it("that is not cached and cannot be fetched is one line", async () => {
    expect(await inProcess(["eval", "--model", "org/none", "--corpus", "dials"])).toEqual({
      code: 1,
      stdout: "",
      stderr:
        "foretoken: --model org/none: is neither a path here nor in the cache of the hub, and HF_HUB_OFFLINE is set\n"
    })
  })
})

describe("--template chat", () => {
  it("without a chat template is one line", async () => {
    const { code, stdout, stderr } = await inProcess([
      "eval",
      "--model",
      own,
      "--corpus",
      "dials",
      "--template",
      "chat"
    ])
    expect([code, stdout]).toEqual([1, ""])
    expect(stderr).toBe(
      "foretoken: the chat template of own is not there: neither chat_template.jinja nor chat_template in " +
        "tokenizer_config.json; --template boxed asks without one\n"
    )
  })

  it("asks in the model's own words, bos from the template alone", async () => {
    const model = join(cache, "chatty")
    await saveTinyModel(model)
    writeFileSync(
      join(model, "chat_template.jinja"),
      "{{ bos_token }}{% for message in messages %} shows{{ message.content }}<|end|>{% endfor %} turns"
    )
    const sample = async (...more: ReadonlyArray<string>) => {
      const args = ["sample", "--model", model, "--prompt", text, "--n", "1", "--tokens", "4", "--json"]
      const { code, stdout, stderr } = await inProcess([...args, ...more])
      expect([code, stderr]).toEqual([0, ""])
      return JSON.parse(stdout).ids as ReadonlyArray<number> // as the help says
    }
    const plain = await sample()
    const asked = await sample("--template", "chat")
    const [bos, end] = [1, 2]
    expect(asked.filter((id) => id === bos)).toEqual([bos])
    expect(asked[0]).toBe(bos)
    expect(asked.join(" ")).toContain(plain.slice(1).join(" "))
    expect(asked.filter((id) => id === end)).toEqual([end])
    const evaluated = await inProcess(
      [
        "eval",
        "--model",
        model,
        "--corpus",
        "dials",
        "--documents",
        "1",
        "--positions",
        "1",
        "--template",
        "chat"
      ].concat(["--reasoned", "--max-tokens", "4", "--json"])
    )
    expect(evaluated.stderr).toBe("")
    expect(JSON.parse(evaluated.stdout).template).toBe("chat")
  })
})
