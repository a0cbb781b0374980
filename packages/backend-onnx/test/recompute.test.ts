import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { describe, expect, it } from "vitest"

const train = async (remember: "all" | "layers") => {
  const script = fileURLToPath(new URL("trainOnce.ts", import.meta.url))
  const { stdout } = await promisify(execFile)(process.execPath, ["-C", "@foretoken/source", script, remember])
  const read: { readonly bytes: number; readonly loss: number; readonly weights: ReadonlyArray<number> } =
    JSON.parse(stdout)
  return read
}

describe("an update that remembers layers only", () => {
  // onnxruntime too computes equal expressions once, in an order of its own: the law about graphs is not enough.
  it("takes less than half of the memory on onnxruntime, and comes to the same", async () => {
    const [all, layers] = await Promise.all([train("all"), train("layers")])
    expect(layers.bytes).toBeLessThan(0.5 * all.bytes)
    expect(layers.loss).toBeCloseTo(all.loss, 5)
    layers.weights.forEach((weight, i) => expect(Math.abs(weight - all.weights[i])).toBeLessThan(2e-5))
  }, 60_000)
})
