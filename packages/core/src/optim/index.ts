export { adamw, adamwDefaults, decays, type AdamW } from "./adamw.ts"
export { clipGlobalNorm, globalNorm, type Clipped } from "./clip.ts"
export { muonApplies, muonApply, muonDefaults, muonDirection, newtonSchulz, type Muon } from "./muon.ts"
export * as Schedule from "./schedule.ts"
