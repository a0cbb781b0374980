import { globSync, readFileSync } from "node:fs"
import { join, relative, sep } from "node:path"
import { expect, test } from "vitest"

const root = join(import.meta.dirname, "..")
const core = join(root, "packages/core/src")

/** The lines of the table of rooms in docs/architecture.md, each the rooms it names. */
const storeys = readFileSync(join(root, "docs/architecture.md"), "utf8")
  .split("\n")
  .filter((line) => /^\| `[a-z]+`(, `[a-z]+`)* \|/.test(line))
  .map((line) => Array.from(line.split("|")[1].matchAll(/`([a-z]+)`/g), ([, room]) => room))

interface Import {
  readonly file: string
  readonly from: string
}

const sources = globSync("**/*.ts", { cwd: core })
const imports = sources.flatMap((file): ReadonlyArray<Import> => {
  const text = readFileSync(join(core, file), "utf8")
  return Array.from(text.matchAll(/^(?:import|export) [^"]*?from "([^"]+)"/gm), ([, from]) => ({ file, from }))
})

test("core imports no backend and no runtime of one", () => {
  expect(imports.length).toBeGreaterThan(100)
  expect(imports.filter(({ from }) => /backend-|onnxruntime|tensorflow/.test(from))).toEqual([])
})

test("every room of core stands in the table of rooms, and nothing else does", () => {
  const rooms = new Set(sources.filter((file) => file.includes(sep)).map((file) => file.split(sep)[0]))
  expect(storeys.flat().toSorted()).toEqual([...rooms].toSorted())
})

test("a room imports from rooms above it in the table, and from its neighbours", () => {
  const level = (room: string) => storeys.findIndex((rooms) => rooms.includes(room))
  const roomOf = (file: string) => file.split(sep)[0]
  const downward = imports.filter(({ file, from }) => {
    if (!from.startsWith(".") || !file.includes(sep)) return false
    const target = relative(core, join(core, file, "..", from))
    return level(roomOf(target)) > level(roomOf(file))
  })
  expect(downward).toEqual([])
})
