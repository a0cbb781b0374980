import { expect, test } from "vitest"
import type { Tree } from "@foretoken/core"
import { flatten, flattenAs, Graph, HostTensor, paths, restore } from "@foretoken/core"
import * as fc from "fast-check"

interface Leaf {
  readonly dtype: number
}
const trees: fc.Arbitrary<Tree<Leaf>> = fc.letrec<{ tree: Tree<Leaf>; leaf: Leaf }>((tie) => ({
  leaf: fc.record({ dtype: fc.nat() }),
  tree: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    tie("leaf"),
    fc.array(tie("tree"), { maxLength: 3 }),
    fc.dictionary(fc.constantFrom("w", "b", "layers", "norm"), tie("tree"))
  )
})).tree

test("a tree put together again from its leaves is the same tree", () => {
  fc.assert(
    fc.property(trees, (tree) => {
      expect(restore(tree, flatten(tree))).toEqual(tree)
    })
  )
})

test("values in the shape of a tree come in the tree's order, whatever else they hold and however they are ordered", () => {
  const like = { b: { dtype: 0 }, a: [{ dtype: 1 }, { dtype: 2 }] }
  const given = { extra: "e", a: ["a0", "a1", "a2"], b: "b" }
  expect(flattenAs<Leaf, string>(like, given)).toEqual(["b", "a0", "a1"])
})

test("inputs of a graph are named by their path", () => {
  const f32 = { dtype: "f32", shape: [] } as const
  const { graph } = Graph.trace(({ params }) => params.layers[1].w, {
    params: { layers: [{ w: f32 }, { w: f32 }] },
    x: f32
  } as const)
  expect(graph.inputs.map(({ node }) => node.op === "input" && node.params.name)).toEqual([
    "params.layers.0.w",
    "params.layers.1.w",
    "x"
  ])
  expect(paths({ deep: [{ x: HostTensor.f32([], [1]) }] }).map(({ path }) => path)).toEqual(["deep.0.x"])
})
