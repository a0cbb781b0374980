import { readFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { Effect, Result } from "effect"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { halvesToPairs, pairsToHalves, transposed } from "../../../src/model/gguf/moves.ts"
import { packers } from "../../../src/model/gguf/quantize.ts"
import { saveGguf } from "../../../src/model/gguf/save.ts"
import { loadModel } from "../../../src/model/ModelDirectory.ts"
import { weightsHash } from "../../../src/model/weights.ts"
import { temporaryDirectory } from "../../temporary.ts"

const directory = temporaryDirectory()
const run = Effect.runPromise

/** Made by golden.py, which stands beside it, with the gguf package of llama.cpp. */
const golden: Readonly<Record<string, string>> = JSON.parse(
  readFileSync(new URL("quantized.json", import.meta.url), "utf8")
)
const bytesOf = (base64: string) => new Uint8Array(Buffer.from(base64, "base64"))

describe("packing", () => {
  it.each(["F16", "BF16", "Q8_0"] as const)("to %s gives the bytes that the gguf package gives", (type) => {
    const values = new Float32Array(bytesOf(golden["values"]).buffer)
    const packed = packers[type].pack(values)
    const expected = bytesOf(golden[type])
    expect(packed.length).toBe(expected.length)
    expect(packed.findIndex((byte, i) => byte !== expected[i])).toBe(-1)
  })
})

describe("moving rows", () => {
  const sizes = fc.record({
    heads: fc.integer({ min: 1, max: 4 }),
    half: fc.integer({ min: 1, max: 4 }),
    columns: fc.integer({ min: 1, max: 3 })
  })

  it("from pairs to halves is undone by the way back, and keeps every head to itself", () => {
    fc.assert(
      fc.property(sizes, ({ heads, half, columns }) => {
        const perHead = 2 * half * columns
        const data = Float32Array.from({ length: heads * perHead }, (_, i) => i)
        const moved = data.slice()
        pairsToHalves(moved, heads, 2 * half)
        for (const [i, value] of moved.entries()) expect(Math.floor(value / perHead)).toBe(Math.floor(i / perHead))
        halvesToPairs(moved, heads, 2 * half)
        expect(moved).toEqual(data)
      })
    )
  })

  it("to columns and back changes nothing", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 5 }), (rows, columns) => {
        const data = Float32Array.from({ length: rows * columns }, (_, i) => i)
        const turned = transposed(data, rows, columns)
        expect(turned[rows * (columns - 1)]).toBe(data[columns - 1])
        expect(transposed(turned, columns, rows)).toEqual(data)
      })
    )
  })
})

describe("a GGUF file that was written", () => {
  const tiny = (name: string) => fileURLToPath(new URL(`tiny-${name}.gguf`, import.meta.url))

  it.each(["llama", "qwen2", "qwen3", "gpt2"])(
    "of %s in F32 is read back bit for bit, with the same config",
    async (name) => {
      const model = await run(loadModel(tiny(name)))
      const path = join(directory, `${name}.gguf`)
      await run(saveGguf(path, model, "F32"))
      const back = await run(loadModel(path))
      expect(back.config).toEqual(model.config)
      expect(weightsHash(back.weights)).toBe(weightsHash(model.weights))
    }
  )

  it("keeps up to three tokens that end a text, and refuses more", async () => {
    const model = await run(loadModel(tiny("qwen2")))
    const ending = (...ids: ReadonlyArray<number>) => ({
      ...model,
      config: { ...model.config, eos: { _tag: "several", ids } as const }
    })
    const path = join(directory, "ends.gguf")
    await run(saveGguf(path, ending(263, 5, 7), "F32"))
    expect((await run(loadModel(path))).config.eos).toEqual({ _tag: "several", ids: [263, 5, 7] })
    const refused = await run(Effect.flip(saveGguf(path, ending(1, 2, 3, 4), "F32")))
    expect(refused.message).toMatch(/a GGUF file has no place for 4 eos tokens$/)
  })

  it("of mistral is a llama with a window, and a window where llama.cpp has none is refused", async () => {
    const model = await run(loadModel(tiny("llama")))
    const window = { _tag: "sliding", size: 16, layers: [0, 1] } as const
    const rope = { _tag: "linear", theta: 1e4, factor: 2 } as const
    const mistral = { ...model.config, family: "mistral", window, positions: { _tag: "rotary", rope } } as const
    const path = join(directory, "mistral.gguf")
    await run(saveGguf(path, { ...model, config: mistral }, "F32"))
    const back = await run(loadModel(path))
    expect(back.config).toEqual(mistral)
    expect(weightsHash(back.weights)).toBe(weightsHash(model.weights))
    const config = { ...mistral, family: "llama" } as const
    const refused = await run(Effect.flip(saveGguf(join(directory, "none.gguf"), { ...model, config }, "F32")))
    expect(refused.message).toMatch(/a window of 16 tokens in 2 layers has no place in a GGUF file of llama$/)
  })

  it("loses in another type what that type loses, and nothing in vectors", async () => {
    const model = await run(loadModel(tiny("qwen3")))
    for (const [type, relative] of [
      ["F16", 2 ** -11],
      ["BF16", 2 ** -8],
      ["Q8_0", 1 / 127]
    ] as const) {
      const path = join(directory, `${type}.gguf`)
      await run(saveGguf(path, model, type))
      const back = await run(loadModel(path))
      for (const [name, { shape, data }] of Object.entries(model.weights)) {
        const largest = shape.length === 1 ? 0 : data.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
        const off = back.weights[name].data.reduce((most, value, i) => Math.max(most, Math.abs(value - data[i])), 0)
        expect(off, name).toBeLessThanOrEqual(largest * relative)
        // The weights are BF16 already.
        if (shape.length > 1) expect(off > 0, name).toBe(type === "Q8_0")
      }
    }
  })

  it("says what has no place in it, and writes nothing", async () => {
    const model = await run(loadModel(tiny("llama")))
    const path = join(directory, "none.gguf")
    const rope = {
      _tag: "llama3",
      theta: 1e4,
      factor: 8,
      lowFreqFactor: 2,
      highFreqFactor: 4,
      originalMaxPositions: 64
    } as const
    const config = { ...model.config, positions: { _tag: "rotary", rope } } as const
    const refused = await run(Effect.result(saveGguf(path, { ...model, config }, "F32")))
    expect(Result.getOrThrow(Result.flip(refused)).message).toBe(
      `${path}: Llama 3's scaling with the factors 2 and 4 is not written to GGUF files`
    )
    expect(() => readFileSync(path)).toThrow(/ENOENT/)
  })
})
