export * from "./ModelConfig.ts"
export { fromHuggingFace, toHuggingFace } from "./ModelConfigJson.ts"
export * from "./ModelDirectory.ts"
export { saveGguf } from "./gguf/save.ts"
export { loadTokenizer } from "./loadTokenizer.ts"
export { ModelFileError } from "./ModelFileError.ts"
export { merged, withLora } from "./adapters.ts"
export { isAdapter, type Lora, type LoraOptions } from "./Lora.ts"
export { trainableWeights } from "./trainable.ts"
export { isPresetName, presetConfig, presets, type PresetName, type Vocabulary } from "./presets.ts"
export { readSafetensors, readShardedSafetensors, writeSafetensors, type TensorRecord } from "./safetensors.ts"
export { SafetensorsError } from "./SafetensorsError.ts"
export {
  checkVocabulary,
  checkWeights,
  initialWeights,
  parameterCount,
  weightsHash,
  weightShapes,
  WeightsError,
  type KeptWeights,
  type Weights
} from "./weights.ts"
export { makeGenerator, type Generator, type SampledCompletion } from "./Generator.ts"
export { type GenerateSettings, type Sampling } from "./generate.ts"
export { makeScorer, type HostScores, type Scorer, type TokenRows } from "./Scorer.ts"
export { encode, type Branches, type Encoded, type WeightsOf } from "./Transformer.ts"
export * from "./Rope.ts"
export { families, type Family } from "./families.ts"
export { parametersOf, type Parameter, type Role } from "./parameters.ts"
