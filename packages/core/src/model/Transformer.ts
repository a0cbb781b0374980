import type { Keys } from "../tensor/operations.ts"
import { attention, concat, iota } from "../tensor/operations.ts"
import type { Tensor } from "../tensor/Tensor.ts"
import { block, norm, wide } from "./block.ts"
import type { Attend } from "./block.ts"
import type { ModelConfig } from "./ModelConfig.ts"
import { reachOf } from "./ModelConfig.ts"
import { namesOf } from "./parameters.ts"
import { turnAt } from "./rotation.ts"
import type { Turn } from "./rotation.ts"
import type { Stretch } from "./segments.ts"
import { inOne } from "./segments.ts"
import { earlierKeys, ownKeys, trunkKeys } from "./visibility.ts"

/** Weights by their Hugging Face names. */
export type WeightsOf<A> = Readonly<Record<string, A>>

/**
 * Rollouts hung on a document. A branch sees the trunk's positions before its anchor and itself; its first token stands
 * at position `anchors`.
 */
export interface Branches {
  /** i32 [D,B,L], right-padded: causality keeps the padding out of sight */
  readonly tokens: Tensor
  /** i32 [D,B] */
  readonly anchors: Tensor
}

/** Keys and values of one layer, heads first. */
export interface LayerCache<A = Tensor> {
  readonly k: A
  readonly v: A
}

/** The last hidden states, and the keys and values that decoding goes on from. */
export interface Encoded {
  /** [D,T,d], normalised: times the vocabulary projection they are logits */
  readonly trunk: Tensor
  /** [D,B,L,d], one entry, or none without branches */
  readonly branches: ReadonlyArray<Tensor>
  /** per layer [D,Hk,T,dh] */
  readonly trunkCache: ReadonlyArray<LayerCache>
  /** per layer [D,Hk,B,L,dh]; empty without branches */
  readonly branchCache: ReadonlyArray<LayerCache>
}

/**
 * Documents [D,T], each read once, with all of their branches in the same pass. Every token of trunk and branches is a
 * row of one matrix through the projections; only attention tells them apart. It takes a branch in the stretches that are
 * given (`asDecoded`), or in one.
 */
export const encode = (
  config: ModelConfig,
  weights: WeightsOf<Tensor>,
  tokens: Tensor,
  branches: ReadonlyArray<Branches>,
  stretchesOf: (length: number) => ReadonlyArray<Stretch> = inOne
): Encoded => {
  const [documents, length] = tokens.shape
  const trunkRows = documents * length
  const [branchCount, branchLength] = branches.length === 0 ? [0, 0] : branches[0].tokens.shape.slice(1)
  const positions = concat(
    [iota([documents, length], 1).reshape([-1]), ...branches.map((branch) => branchPositions(branch).reshape([-1]))],
    0
  )
  const ids = concat([tokens.reshape([-1]), ...branches.map((branch) => branch.tokens.reshape([-1]))], 0)

  const trunkCache: Array<LayerCache> = []
  const branchCache: Array<LayerCache> = []
  const perKey = config.heads / config.kvHeads
  const masks = (reach: number) => ({
    trunk: ownKeys(length, perKey, reach),
    branches: branches.map(({ anchors }) =>
      stretchesOf(branchLength).map((stretch) => ({
        stretch,
        own: ownKeys(stretch.to - stretch.from, perKey, reach),
        earlier: earlierKeys(stretch, perKey, reach),
        trunk: trunkKeys(anchors, length, stretch, perKey, reach)
      }))
    )
  })
  const everything = masks(Infinity)
  const near = config.window._tag === "sliding" ? masks(config.window.size) : everything
  const scale = 1 / Math.sqrt(config.headDim)

  const attend = (layer: number, q: Tensor, k: Tensor, v: Tensor): Tensor => {
    const seen = reachOf(config, layer) === Infinity ? everything : near
    const ofTrunk: Layout = { documents, branches: 1, length }
    const trunkRowsOf = (rows: Tensor) => rows.sliceAxis(0, 0, trunkRows)
    const own = { k: keysFirst(config, trunkRowsOf(k), ofTrunk), v: keysFirst(config, trunkRowsOf(v), ofTrunk) }
    const mixed = attention(queriesFirst(config, trunkRowsOf(q), ofTrunk), [{ ...own, mask: seen.trunk }], scale)
    const trunkOut = rowsAgain(config, mixed, ofTrunk)
    const shared = { k: withoutBranchAxis(own.k), v: withoutBranchAxis(own.v) }
    trunkCache[layer] = shared
    if (branches.length === 0) return trunkOut

    const ofBranches: Layout = { documents, branches: branchCount, length: branchLength }
    const branchRowsOf = (rows: Tensor) => rows.sliceAxis(0, trunkRows, rows.shape[0])
    const branchOwn = {
      k: keysFirst(config, branchRowsOf(k), ofBranches),
      v: keysFirst(config, branchRowsOf(v), ofBranches)
    }
    branchCache[layer] = branchOwn
    const queries = branchRowsOf(q).reshape([documents, branchCount, branchLength, -1])
    const mixedBranches = seen.branches[0].map(({ stretch: { from, to }, ...masks }) => {
      const layout: Layout = { documents, branches: branchCount, length: to - from }
      const own: Keys = { ...mapCache(branchOwn, (x) => x.sliceAxis(3, from, to)), mask: masks.own }
      const earlier: Keys = { ...mapCache(branchOwn, (x) => x.sliceAxis(3, 0, from)), mask: masks.earlier }
      const sets = [{ ...shared, mask: masks.trunk }, ...(from === 0 ? [] : [earlier]), own]
      const asked = queriesFirst(config, queries.sliceAxis(2, from, to).reshape([-1, q.shape[1]]), layout)
      const mixed = rowsAgain(config, attention(asked, sets, scale), layout)
      return mixed.reshape([documents, branchCount, to - from, q.shape[1]])
    })
    return concat([trunkOut, concat(mixedBranches, 2).reshape([-1, q.shape[1]])], 0)
  }

  const turn = turnAt(config, length + branchLength, positions)
  const hidden = layers(config, weights, embed(config, weights, ids, positions), turn, attend)
  return {
    trunk: hidden.sliceAxis(0, 0, trunkRows).reshape([documents, length, config.hiddenSize]),
    branches: branches.map(() =>
      hidden.sliceAxis(0, trunkRows, hidden.shape[0]).reshape([documents, branchCount, branchLength, config.hiddenSize])
    ),
    trunkCache,
    branchCache
  }
}

/** Rows of token ids and their positions, i32 [n] each -> [n,d]. Padding may stand past the last learned position. */
export const embed = (config: ModelConfig, weights: WeightsOf<Tensor>, ids: Tensor, positions: Tensor): Tensor => {
  const names = namesOf(config)
  const tokens = wide(weights[`${names.embedding}.weight`].gather(ids))
  if (config.positions._tag === "rotary") return tokens
  return tokens.add(wide(weights[`${names.positions}.weight`].gather(positions.minimum(config.maxPositions - 1))))
}

/** The vocabulary projection [V,d]. */
export const projection = (config: ModelConfig, weights: WeightsOf<Tensor>): Tensor =>
  wide(weights[`${config.tieWordEmbeddings ? namesOf(config).embedding : namesOf(config).head}.weight`])

/** All layers and the last norm over rows [n,d]. */
export const layers = (
  config: ModelConfig,
  weights: WeightsOf<Tensor>,
  rows: Tensor,
  turn: Turn,
  attend: (layer: number, ...rows: Parameters<Attend>) => Tensor
): Tensor => {
  let x = rows.keep()
  for (let layer = 0; layer < config.layers; layer++) {
    x = block(config, weights, layer, x, turn, (q, k, v) => attend(layer, q, k, v)).keep()
  }
  return norm(config, weights, namesOf(config).finalNorm, x)
}

/** Position of each branch token: [D,B,L] */
const branchPositions = ({ tokens, anchors }: Branches): Tensor => iota(tokens.shape, 2).add(anchors.expandDims(2))

interface Layout {
  readonly documents: number
  readonly branches: number
  readonly length: number
}

/** Rows [D·B·L, Hk·dh] -> [D,Hk,B,L,dh] */
const keysFirst = ({ kvHeads, headDim }: ModelConfig, rows: Tensor, { documents, branches, length }: Layout): Tensor =>
  rows.reshape([documents, branches, length, kvHeads, headDim]).transpose([0, 3, 1, 2, 4])

/** Rows [D·B·L, H·dh] -> [D,Hk,B,(H/Hk)·L,dh]: heads that share keys stand as more queries of one head. */
const queriesFirst = (config: ModelConfig, rows: Tensor, { documents, branches, length }: Layout): Tensor => {
  const { heads, kvHeads, headDim } = config
  const perKey = heads / kvHeads
  const apart = rows.reshape([documents, branches, length, kvHeads, perKey, headDim]).transpose([0, 3, 1, 4, 2, 5])
  return apart.reshape([documents, kvHeads, branches, perKey * length, headDim])
}

/** [D,Hk,B,(H/Hk)·L,dh] -> rows [D·B·L, H·dh] */
const rowsAgain = (config: ModelConfig, x: Tensor, { documents, branches, length }: Layout): Tensor => {
  const { heads, kvHeads, headDim } = config
  const apart = x.reshape([documents, kvHeads, branches, heads / kvHeads, length, headDim])
  return apart.transpose([0, 2, 4, 1, 3, 5]).reshape([documents * branches * length, heads * headDim])
}

export const mapCache = <A, B>({ k, v }: LayerCache<A>, f: (x: A) => B): LayerCache<B> => ({ k: f(k), v: f(v) })

/** [D,H,1,T,dh] -> [D,H,T,dh] */
const withoutBranchAxis = (x: Tensor): Tensor => x.reshape([x.shape[0], x.shape[1], x.shape[3], x.shape[4]])
