import type { Keys } from "../tensor/operations.ts"
import { attention, concat, iota } from "../tensor/operations.ts"
import type { Tensor } from "../tensor/Tensor.ts"
import type { ModelConfig } from "./ModelConfig.ts"
import { rotation, type Rotation } from "./rotation.ts"

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

/** What a layer's attention does with queries [n, H·dh], keys and values [n, Hk·dh]; gives [n, H·dh]. */
type Attend = (layer: number, q: Tensor, k: Tensor, v: Tensor) => Tensor

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
 * row of one matrix through the projections; only attention tells them apart.
 */
export const encode = (
  config: ModelConfig,
  weights: WeightsOf<Tensor>,
  tokens: Tensor,
  branches: ReadonlyArray<Branches>
): Encoded => {
  const [documents, length] = tokens.shape
  const trunkRows = documents * length
  const [branchCount, branchLength] = branches.length === 0 ? [0, 0] : branches[0].tokens.shape.slice(1)
  const turn = rotation(config, length + branchLength)
  const positions = concat(
    [iota([documents, length], 1).reshape([-1]), ...branches.map((branch) => branchPositions(branch).reshape([-1]))],
    0
  )
  const ids = concat([tokens.reshape([-1]), ...branches.map((branch) => branch.tokens.reshape([-1]))], 0)

  const trunkCache: Array<LayerCache> = []
  const branchCache: Array<LayerCache> = []
  const perKey = config.heads / config.kvHeads
  const causal = visibleUpTo(length, perKey)
  const scale = 1 / Math.sqrt(config.headDim)

  const attend: Attend = (layer, q, k, v) => {
    const ofTrunk: Layout = { documents, branches: 1, length }
    const trunkRowsOf = (rows: Tensor) => rows.sliceAxis(0, 0, trunkRows)
    const own = { k: keysFirst(config, trunkRowsOf(k), ofTrunk), v: keysFirst(config, trunkRowsOf(v), ofTrunk) }
    const mixed = attention(queriesFirst(config, trunkRowsOf(q), ofTrunk), [{ ...own, mask: causal }], scale)
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
    const sets: ReadonlyArray<Keys> = [
      { ...branchOwn, mask: visibleUpTo(branchLength, perKey) },
      { ...shared, mask: visibleTrunk(branches[0].anchors, length) }
    ]
    const branchMixed = attention(queriesFirst(config, branchRowsOf(q), ofBranches), sets, scale)
    return concat([trunkOut, rowsAgain(config, branchMixed, ofBranches)], 0)
  }

  const hidden = layers(config, weights, embed(weights, ids), turn.at(positions), attend)
  return {
    trunk: hidden.sliceAxis(0, 0, trunkRows).reshape([documents, length, config.hiddenSize]),
    branches: branches.map(() =>
      hidden.sliceAxis(0, trunkRows, hidden.shape[0]).reshape([documents, branchCount, branchLength, config.hiddenSize])
    ),
    trunkCache,
    branchCache
  }
}

/** Rows of token ids [n] -> [n,d]. */
export const embed = (weights: WeightsOf<Tensor>, ids: Tensor): Tensor =>
  weights["model.embed_tokens.weight"].gather(ids)

/** The vocabulary projection [V,d]. */
export const projection = (config: ModelConfig, weights: WeightsOf<Tensor>): Tensor =>
  config.tieWordEmbeddings ? weights["model.embed_tokens.weight"] : weights["lm_head.weight"]

/** All layers and the last norm over rows [n,d], each row rotated by its own position. */
export const layers = (
  config: ModelConfig,
  weights: WeightsOf<Tensor>,
  rows: Tensor,
  at: Rotation,
  attend: Attend
): Tensor => {
  let x = rows
  for (let layer = 0; layer < config.layers; layer++) {
    const weight = (name: string): Tensor => weights[`model.layers.${layer}.${name}.weight`]
    const linear = (input: Tensor, name: string): Tensor => input.matmul(weight(name), { transposeB: true })
    const turned = (input: Tensor, heads: number): Tensor =>
      input.reshape([-1, heads, config.headDim]).rotary(at.cos, at.sin).reshape(input.shape)

    const normed = x.rmsNorm(weight("input_layernorm"), config.rmsNormEps)
    const mixed = attend(
      layer,
      turned(linear(normed, "self_attn.q_proj"), config.heads),
      turned(linear(normed, "self_attn.k_proj"), config.kvHeads),
      linear(normed, "self_attn.v_proj")
    )
    x = x.add(linear(mixed, "self_attn.o_proj"))

    const inner = x.rmsNorm(weight("post_attention_layernorm"), config.rmsNormEps)
    x = x.add(linear(linear(inner, "mlp.gate_proj").swiglu(linear(inner, "mlp.up_proj")), "mlp.down_proj"))
  }
  return x.rmsNorm(weights["model.norm.weight"], config.rmsNormEps)
}

/** Position of each branch token: [D,B,L] */
const branchPositions = ({ tokens, anchors }: Branches): Tensor => iota(tokens.shape, 2).add(anchors.expandDims(2))

/** Each of `length` queries, `times` over, sees the keys up to itself: bool [1,1,1,times·length,length]. */
const visibleUpTo = (length: number, times: number): Tensor =>
  iota([1, 1, times, length, length], 4)
    .greater(iota([1, 1, times, length, length], 3))
    .not()
    .reshape([1, 1, 1, times * length, length])

/** Branches see the trunk before their anchor: bool [D,1,B,1,T]. */
export const visibleTrunk = (anchors: Tensor, length: number): Tensor =>
  iota([1, 1, 1, 1, length], 4).less(anchors.reshape([anchors.shape[0], 1, anchors.shape[1], 1, 1]))

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

/** [D,H,1,T,dh] -> [D,H,T,dh] */
const withoutBranchAxis = (x: Tensor): Tensor => x.reshape([x.shape[0], x.shape[1], x.shape[3], x.shape[4]])
