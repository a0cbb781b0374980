import type { TensorType } from "./HostTensor.ts"
import { Tensor } from "./Tensor.ts"

/** Nested records and tuples with leaves of one kind: how a program's inputs and outputs are named. */
export type Tree<A> = A | ReadonlyArray<Tree<A>> | { readonly [key: string]: Tree<A> }

export type TypeTree = Tree<TensorType>

/** The tree with something else at each leaf. */
export type MapTree<T, Leaf, To> = T extends Leaf ? To : { readonly [K in keyof T]: MapTree<T[K], Leaf, To> }

/** Tensors where the types stood. */
export type TensorsOf<S> = MapTree<S, TensorType, Tensor>

const isLeaf = (value: object): boolean => value instanceof Tensor || "dtype" in value || "_tag" in value

/** The leaves in the order of the keys as they were written, each with its path (`params.wq`, `0`). */
export const paths = <A extends object>(tree: Tree<A>, path = ""): ReadonlyArray<{ path: string; leaf: A }> =>
  isLeaf(tree)
    ? [{ path, leaf: tree as A }] // isLeaf has told it from the branches
    : Object.entries<Tree<A>>(tree as Record<string, Tree<A>>).flatMap(([key, value]) =>
        // a branch: see above
        paths(value, path === "" ? key : `${path}.${key}`)
      )

export const flatten = <A extends object>(tree: Tree<A>): ReadonlyArray<A> => paths(tree).map(({ leaf }) => leaf)

/** The leaves of `values`, which has at least the keys of `like`, in the order of `like`. */
export const flattenAs = <A extends object, B>(like: Tree<A>, values: Tree<B>): ReadonlyArray<B> =>
  isLeaf(like)
    ? [values as B] // where `like` has a leaf, so have the values
    : Object.entries<Tree<A>>(like as Record<string, Tree<A>>).flatMap(([key, child]) =>
        flattenAs<A, B>(child, (values as Record<string, Tree<B>>)[key])
      )

/** The tree with its leaves, in order, replaced. */
export const restore = <A extends object, B>(tree: Tree<A>, leaves: ReadonlyArray<B>): Tree<B> => {
  let next = 0
  const walk = (at: Tree<A>): Tree<B> => {
    if (isLeaf(at)) return leaves[next++]
    if (Array.isArray(at)) return at.map(walk)
    return Object.fromEntries(
      Object.entries<Tree<A>>(at as Record<string, Tree<A>>).map(([key, value]) => [key, walk(value)])
    ) // a branch, and no array
  }
  return walk(tree)
}
