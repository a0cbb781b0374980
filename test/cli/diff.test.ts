import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "@effect/vitest"
import { inProcess } from "./foretoken.ts"
import { saveTinyModel } from "./tinyModel.ts"

const root = mkdtempSync(join(tmpdir(), "foretoken-diff-"))
afterAll(() => rmSync(root, { recursive: true, force: true }))
const model = join(root, "model")
beforeAll(() => saveTinyModel(model))

const diff = (flags: string) => inProcess(["diff", "--model", model, ...flags.split(" ")])

describe("foretoken diff", () => {
  for (const program of ["score", "gradient"]) {
    it(`finds onnx and WebAssembly within tolerance of each other's inputs (${program})`, async () => {
      const flags = `--backends onnx:cpu,tfjs:wasm --tokens 8 --json${program === "gradient" ? " --gradient" : ""}`
      const { code, stdout, stderr } = await diff(flags)
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
      const report = JSON.parse(stdout)
      expect(report).toMatchObject({ backends: ["onnx:cpu", "tfjs:wasm"], program, tokens: 8, first: null })
      expect(report.ops.length).toBeGreaterThan(50)
      const ratios: ReadonlyArray<number> = report.ops.flatMap(({ own }: { own: Array<{ ratio: number }> }) =>
        own.map(({ ratio }) => ratio)
      )
      expect(Math.max(...ratios)).toBeGreaterThan(0)
      expect(Math.max(...ratios)).toBeLessThanOrEqual(1)
    })
  }

  it("fails, and names the first primitive, where the tolerance is less than f32 has", async () => {
    const { code, stdout, stderr } = await diff("--backends reference,onnx --tokens 8 --tolerance 1e-9 --text Here")
    expect(code).toBe(1)
    expect(stderr).toMatch(/^foretoken: onnx:cpu departs first at primitive \d+, [a-zA-Z]+\n$/)
    expect(stdout).toContain("* the first that is out of tolerance: ")
  })

  it("says in a line what cannot be compared", async () => {
    expect((await diff("--backends onnx")).stderr).toContain(
      '--backends is "onnx"; two backends with a comma between them'
    )
    expect((await diff("--backends onnx,torch")).stderr).toContain('one of onnx, tfjs, reference and not "torch"')
    expect((await diff("--backends onnx:tpu,tfjs")).stderr).toContain('not "tpu" was expected')
    expect((await diff("--backends onnx:wasm,tfjs")).stderr).toContain(
      "--device is wasm; --backend onnx has cpu, cuda and webgpu"
    )
  })
})
