import { execFile } from "node:child_process"
import { existsSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { promisify } from "node:util"
import { Reward } from "@foretoken/core"
import { laws } from "@foretoken/core/testing"
import { afterAll, describe, expect, test } from "vitest"

const execute = promisify(execFile)
const root = join(import.meta.dirname, "..")
const bin = (name: string) => join(root, "node_modules/.bin", name)
const textOf = (path: string) => readFileSync(join(root, path), "utf8")

interface Block {
  readonly page: string
  readonly line: number
  readonly language: string
  readonly code: string
}

/** The fenced blocks of a page. */
const blocksOf = (page: string): ReadonlyArray<Block> => {
  const text = textOf(page)
  return Array.from(text.matchAll(/^```(\w*)\n(.*?)^```$/gms), (match) => ({
    page,
    line: text.slice(0, match.index).split("\n").length,
    language: match[1],
    code: match[2]
  }))
}

const pages = ["README.md", "CONTRIBUTING.md", ...globSync("docs/*.md", { cwd: root }).toSorted()]
const blocks = pages.flatMap(blocksOf)
const examples = globSync("examples/*.ts", { cwd: root }).toSorted()
const isExample = ({ code }: Block) => examples.some((example) => textOf(example) === code)

describe("the first screen of the README", () => {
  const program = blocks.find(({ page, language }) => page === "README.md" && language === "ts")

  test("says in two sentences what this is, before anything else", () => {
    const [title, first] = textOf("README.md").split("\n\n")
    expect(title).toBe("# Foretoken")
    expect(first.match(/[.?](?=\s|$)/g)).toHaveLength(2)
  })

  test("shows one picture, which is there, and then the program", () => {
    const before = textOf("README.md").split("\n").slice(0, program?.line)
    const pictures = before.join("\n").match(/(?<=<img src=")[^"]+/g)
    expect(pictures).toEqual(["docs/foretoken.svg"])
    expect(textOf("docs/foretoken.svg")).toMatch(/^<svg .*<\/svg>\n$/s)
    expect(program?.line).toBeLessThan(15)
  })

  test("has the program of examples/03, in about 25 lines", () => {
    expect(program?.code).toBe(textOf("examples/03-pipeline.ts"))
    expect(program?.code.trimEnd().split("\n").length).toBeLessThanOrEqual(30)
  })
})

describe("a block of TypeScript in README or docs", () => {
  // Inside the repository, so that packages resolve, and where git does not look.
  const directory = join(root, "node_modules/.cache/foretoken-pages")
  afterAll(() => rmSync(directory, { recursive: true, force: true }))

  test("is a program of examples/, which are run, or compiles as it stands", async () => {
    const fragments = blocks.filter((block) => block.language === "ts" && !isExample(block))
    rmSync(directory, { recursive: true, force: true })
    mkdirSync(directory, { recursive: true })
    const files = fragments.map(({ page, line, code }) => {
      const file = `${page.replaceAll("/", "-")}-line-${line}.ts`
      writeFileSync(join(directory, file), code)
      return file
    })
    expect(files.length).toBeGreaterThan(5)
    const config = { extends: join(root, "tsconfig.test.json"), files, include: [], references: [] }
    writeFileSync(
      join(directory, "tsconfig.json"),
      JSON.stringify({ ...config, compilerOptions: { incremental: false, tsBuildInfoFile: null } })
    )
    const { stdout } = await execute(bin("tsc"), ["-p", directory, "--pretty", "false"], { cwd: directory }).catch(
      (failed: { readonly stdout: string }) => failed
    )
    // What is wrong elsewhere, the build says.
    expect(stdout.split("\n").filter((line) => files.some((file) => line.startsWith(file)))).toEqual([])
    expect(stdout).not.toMatch(/^tsconfig|^error/m)
  })
})

test("examples are numbered, at most 40 lines each, and each is run by examples.test.ts", () => {
  const programs = examples.filter((path) => /\d\d-/.test(path))
  expect(programs.map((path) => path.slice("examples/".length, "examples/00".length))).toEqual(
    programs.map((_, i) => String(i + 1).padStart(2, "0"))
  )
  const runs = textOf("test/examples.test.ts")
  for (const path of programs) {
    expect(textOf(path).trimEnd().split("\n").length, path).toBeLessThanOrEqual(40)
    expect(runs).toContain(`"${path.slice("examples/".length)}"`)
  }
})

test("the reward that the README tests is the one of examples/01, which is run", () => {
  const shown = blocks.find(({ page, code }) => page === "README.md" && code.includes("laws.reward"))
  const lines = (shown?.code ?? "nothing shown").split("\n")
  expect(lines.filter((line) => !textOf("examples/01-property-test-a-reward.ts").includes(line))).toEqual([])
})

test("the failure that the README shows is what the law prints", async () => {
  const shown = blocks.find(({ page, code }) => page === "README.md" && code.startsWith("✖"))
  const [title, ...lines] = (shown?.code ?? "").trimEnd().split("\n")
  const score: Reward.PureScore = ({ prediction }, { continuation }) => {
    const bytes = prediction.outcome === "answered" ? prediction.bytes : new Uint8Array()
    return bytes.filter((byte, i) => byte === continuation.bytes[i]).length / bytes.length
  }
  const overlap = Reward.pure("overlap", score, Reward.verifier)
  const law = laws.reward(overlap, { seed: 7 }).find(({ name }) => title === `✖ ${name}`)
  const report: string = await (law?.check() ?? Promise.resolve()).then(
    () => "holds",
    (error) => error.message
  )
  const unindented = (text: string) => text.split("\n").map((line) => line.trim())
  const withoutPath = unindented(report).map((line) => line.replace(/path: ".*"/, 'path: "…"'))
  expect(lines.length).toBeGreaterThan(10)
  expect(withoutPath.join("\n")).toBe(unindented(lines.join("\n")).join("\n"))
})

describe("a command that README or CONTRIBUTING name", () => {
  const named = ["README.md", "CONTRIBUTING.md"].flatMap((page) => {
    const shell = blocks
      .filter((block) => block.page === page && block.language === "sh")
      .flatMap(({ code }) => code.split("\n"))
    const inline = Array.from(textOf(page).matchAll(/`((?:npm|npx) [^`]+)`/g), ([, command]) => command)
    return [...shell, ...inline].map((line) => line.split("#")[0].trim()).filter((line) => line !== "")
  })
  const { scripts } = JSON.parse(textOf("package.json"))
  const foretoken = (...args: ReadonlyArray<string>) =>
    execute(bin("node"), ["--conditions=@foretoken/source", join(root, "packages/cli/src/main.ts"), ...args])

  test("is a script of package.json, a program of examples/, vitest, or foretoken", () => {
    expect(named).toContain("npm start")
    expect(named).toContain("npm test")
    const unknown = named.filter((line) => {
      const [tool, first, second] = line.split(" ")
      if (tool === "npm") return !((first === "run" ? second : first) in scripts)
      if (first === "node") return !existsSync(join(root, second))
      if (first === "vitest") return !existsSync(join(root, line.split(" ")[3]))
      return first !== "foretoken"
    })
    expect(unknown).toEqual([])
  })

  test("has its flags in the help of foretoken", async () => {
    const commands = named.filter((line) => line.startsWith("npx foretoken "))
    // Two words where the command has commands of its own: reward check.
    const nameOf = (line: string) => /^npx foretoken ((?:[a-z]+ ?)*)/.exec(line)?.[1].trim() ?? ""
    const names = new Set(commands.map(nameOf).filter((name) => name !== ""))
    expect(names.size).toBeGreaterThanOrEqual(5)
    for (const name of names) {
      const { stdout } = await foretoken(...name.split(" "), "--help")
      const flags = commands.filter((line) => nameOf(line) === name).flatMap((line) => line.match(/--[a-z-]+/g) ?? [])
      expect(flags.filter((flag) => !stdout.includes(flag))).toEqual([])
    }
    for (const flag of ["--backend", "--device", "--json"]) {
      expect((await foretoken("train", "--help")).stdout).toContain(flag)
    }
  })
})

test("every link to a file of this repository leads somewhere", () => {
  const broken = pages.flatMap((page) => {
    const text = textOf(page).replaceAll(/^```.*?^```$/gms, "")
    const targets = Array.from(text.matchAll(/\]\(([^)]+)\)|(?:src|href)="([^"]+)"/g), (match) => match[1] ?? match[2])
    const own = targets.filter((target) => !/^(https?:|#)/.test(target))
    return own
      .filter((target) => !existsSync(join(root, dirname(page), target.split("#")[0])))
      .map((target) => `${page}: ${target}`)
  })
  expect(broken).toEqual([])
})

test("every file that a page names in passing is there", () => {
  const missing = pages.flatMap((page) =>
    Array.from(textOf(page).matchAll(/`((?:packages|examples|docs|test|scripts)\/[\w./-]+)`/g), ([, path]) => path)
      .filter((path) => !/[A-Z]{4}/.test(path)) // NAME, ROOM: to be filled in
      .filter((path) => !existsSync(join(root, path)))
      .map((path) => `${page}: ${path}`)
  )
  expect(missing).toEqual([])
})

test("every folder of the README's tree is there, and none of core is left out", () => {
  const tree = blocks.find(({ page, code }) => page === "README.md" && code.startsWith("packages/"))?.code ?? ""
  const folders = tree.split("\n").flatMap((line) => {
    const [, indent, names] = /^( *)(\S+\/(?:, \S+\/)*)/.exec(line) ?? []
    return names === undefined
      ? []
      : names.split(", ").map((name) => (indent === "" ? name : `packages/core/src/${name}`))
  })
  expect(folders.filter((folder) => !existsSync(join(root, folder)))).toEqual([])
  const rooms = globSync("packages/core/src/*/", { cwd: root }).map((path) => `${path.replaceAll("\\", "/")}/`)
  expect(rooms.filter((room) => !folders.includes(room.replace("//", "/")))).toEqual([])
})
