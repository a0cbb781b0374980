import type { ModelConfig } from "./ModelConfig.ts"

/** Families by transformers' model_type. */
export const families = ["llama", "mistral", "qwen2", "qwen3", "gpt2"] as const
export type Family = (typeof families)[number]

/** Which states of a config a family has, by their tags. */
interface Kind {
  readonly norm: ModelConfig["norm"]["_tag"]
  readonly positions: ModelConfig["positions"]["_tag"]
  readonly mlp: ModelConfig["mlp"]["_tag"]
  readonly qkNorm: boolean
  readonly window: ReadonlyArray<ModelConfig["window"]["_tag"]>
  /** Sets of projections with biases that there are, as `biasesOf` writes them. */
  readonly biases: ReadonlyArray<string>
}

const rotary = {
  norm: "rms",
  positions: "rotary",
  mlp: "swiglu",
  qkNorm: false,
  window: ["everything", "sliding"]
} as const

const kinds: Readonly<Record<Family, Kind>> = {
  llama: { ...rotary, window: ["everything"], biases: ["none", "qkv+output", "mlp", "qkv+output+mlp"] },
  mistral: { ...rotary, biases: ["none"] },
  qwen2: { ...rotary, biases: ["qkv"] },
  qwen3: { ...rotary, qkNorm: true, biases: ["none", "qkv+output"] },
  gpt2: {
    norm: "layer",
    positions: "learned",
    mlp: "gelu",
    qkNorm: false,
    window: ["everything"],
    biases: ["qkv+output+mlp"]
  }
}

/** Where a config is none of its family, in a line: transformers could not load what is saved of it. */
export const familyProblem = (config: ModelConfig): string | undefined => {
  const { family, hiddenSize, heads, kvHeads, headDim } = config
  const kind = kinds[family]
  const wanted = (part: string, is: unknown, allowed: ReadonlyArray<unknown>): string | undefined =>
    allowed.includes(is) ? undefined : `a ${family} model has ${part} ${allowed.join(" or ")}, not ${String(is)}`
  const misfit =
    wanted("norm", config.norm._tag, [kind.norm]) ??
    wanted("positions", config.positions._tag, [kind.positions]) ??
    wanted("mlp", config.mlp._tag, [kind.mlp]) ??
    wanted("qkNorm", config.qkNorm, [kind.qkNorm]) ??
    wanted("window", config.window._tag, kind.window) ??
    wanted("bias", biasesOf(config), kind.biases)
  if (misfit !== undefined) return misfit
  if (family === "llama" && hiddenSize % heads !== 0) {
    return `the hidden size ${hiddenSize} is no multiple of the ${heads} attention heads`
  }
  if (family !== "gpt2" || (heads === kvHeads && heads * headDim === hiddenSize)) return undefined
  return `a gpt2 model splits its hidden size evenly among its heads: ${hiddenSize} is not ${heads} x ${headDim}, with ${kvHeads} key/value heads`
}

const biasesOf = ({ bias }: ModelConfig): string => {
  const some = (["qkv", "output", "mlp"] as const).filter((part) => bias[part])
  return some.length === 0 ? "none" : some.join("+")
}
