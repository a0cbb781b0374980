import { readFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import { tensorTypes } from "../../../src/model/gguf/tensorTypes.ts"

/** Made by golden.py, which stands beside it, with the gguf package of llama.cpp. */
const golden: Readonly<Record<string, { readonly type: number; readonly packed: string; readonly values: string }>> =
  JSON.parse(readFileSync(new URL("golden.json", import.meta.url), "utf8"))

const bytesOf = (base64: string) => new Uint8Array(Buffer.from(base64, "base64"))
const firstDifference = (a: Uint32Array, b: Uint32Array) => a.findIndex((bits, i) => bits !== b[i])

describe("blocks of ggml", () => {
  it.each(Object.entries(golden))(
    "of %s have the values that the gguf package gives them, bit for bit",
    (name, one) => {
      const type = tensorTypes.get(one.type)
      const packed = bytesOf(one.packed)
      const expected = new Uint32Array(bytesOf(one.values).buffer)
      expect(type).toMatchObject({ name })
      if (type === undefined) return
      expect((packed.length / type.bytes) * type.elements).toBe(expected.length)
      const values = new Float32Array(expected.length)
      type.dequantize(packed, values)
      expect(firstDifference(new Uint32Array(values.buffer), expected)).toBe(-1)
    }
  )

  it("are all in the golden file", () => {
    expect(Object.values(golden).map(({ type }) => type)).toEqual([...tensorTypes.keys()].toSorted(inOrderOf(golden)))
  })
})

const inOrderOf = (all: typeof golden) => {
  const order = Object.values(all).map(({ type }) => type)
  return (a: number, b: number) => order.indexOf(a) - order.indexOf(b)
}
