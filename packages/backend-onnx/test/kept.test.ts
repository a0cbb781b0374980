import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { describe, expect, it } from "vitest"

const run = async (use: string): Promise<{ readonly bytes: number; readonly wide: number }> => {
  const script = fileURLToPath(new URL("keptOnce.ts", import.meta.url))
  const { stdout } = await promisify(execFile)(process.execPath, ["-C", "@foretoken/source", script, use])
  return JSON.parse(stdout)
}

describe("weights that are kept in two bytes", () => {
  // onnxruntime runs nodes in an order of its own: where it widens all weights before it reads the first, this is 0.8 to 1.5.
  it.each(["score", "sample", "all", "layers"])(
    "are never all there in four: %s",
    async (use) => {
      const { bytes, wide } = await run(use)
      expect(bytes / wide).toBeLessThan(0.75)
    },
    60_000
  )
})
