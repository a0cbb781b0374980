import { mkdirSync, readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import * as fc from "fast-check"
import { readSafetensors, readShardedSafetensors } from "../../src/model/safetensors.ts"
import { cutIntoShards, writeShards } from "../../src/model/shards.ts"
import { weightsHash } from "../../src/model/weights.ts"
import { HostTensor } from "../../src/tensor/HostTensor.ts"
import { temporaryDirectory } from "../temporary.ts"

describe("shards", () => {
  it("hold all tensors once, in their order, none of several has more than it may, and none could go into the one before", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(20), { maxLength: 30 }), fc.integer({ min: 1, max: 40 }), (bytes, most) => {
        const sizes = bytes.map((size, i) => [`${i}`, size] as const)
        const shards = cutIntoShards(sizes, most)
        expect(shards.flat()).toEqual(sizes.map(([name]) => name))
        const size = (names: ReadonlyArray<string>) => names.reduce((sum, name) => sum + bytes[Number(name)], 0)
        shards.forEach((names, i) => {
          if (names.length > 1) expect(size(names)).toBeLessThanOrEqual(most)
          if (i > 0) expect(size([...shards[i - 1], names[0]])).toBeGreaterThan(most)
        })
      })
    )
  })

  it("are cut as huggingface_hub's documentation has it", () => {
    const sizes = [6, 6, 2, 6, 2, 2].map((size, i) => [`${i}`, size] as const)
    expect(cutIntoShards(sizes, 10)).toEqual([["0"], ["1", "2"], ["3", "4", "5"]])
  })

  const directory = temporaryDirectory()
  const tensors = Object.fromEntries(
    [3, 100, 7, 50, 1].map((size, i) => [
      `t${i}`,
      HostTensor.f32([size], Float32Array.from({ length: size }, Math.sqrt))
    ])
  )

  it.effect("are read back bit for bit, and where one file will do there is one", () =>
    Effect.gen(function* () {
      const at = (name: string) => join(directory, name)
      mkdirSync(at("many"))
      mkdirSync(at("one"))
      yield* writeShards(at("many"), tensors, "F32", 200)
      expect(readdirSync(at("many"))).toEqual([
        ...[1, 2, 3, 4, 5].map((i) => `model-0000${i}-of-00005.safetensors`),
        "model.safetensors.index.json"
      ])
      const index = JSON.parse(readFileSync(at("many/model.safetensors.index.json"), "utf8"))
      expect(index.metadata).toEqual({ total_size: 4 * 161 })
      expect(Object.keys(index.weight_map)).toEqual(Object.keys(tensors))
      const back = yield* readShardedSafetensors(at("many/model.safetensors.index.json"))
      expect(weightsHash(back)).toBe(weightsHash(tensors))
      yield* writeShards(at("one"), tensors, "F32", 644)
      expect(readdirSync(at("one"))).toEqual(["model.safetensors"])
      expect(weightsHash(yield* readSafetensors(at("one/model.safetensors")))).toBe(weightsHash(tensors))
    })
  )
})
