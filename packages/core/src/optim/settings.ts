import type { AdamW } from "../routine/adamw.ts"
import { adamwDefaults } from "../routine/adamw.ts"
import type { Muon } from "../routine/muon.ts"
import { muonDefaults } from "../routine/muon.ts"
import type { Schedule } from "./schedule.ts"

/** Which rule moves which weights. Learning rates are peaks; the schedule scales them all alike. */
export type Rule =
  | { readonly _tag: "adamw"; readonly adamw: AdamW }
  /** Muon on the matrices inside the layers, AdamW on the rest. */
  | { readonly _tag: "muon"; readonly muon: Muon; readonly adamw: AdamW }

export interface OptimizerSettings {
  readonly rule: Rule
  /** With peak 1: a share of the rule's learning rates. */
  readonly schedule: Schedule
  /** Largest global gradient norm. */
  readonly maxNorm: number
}

export const adamwRule = (settings: Partial<AdamW> = {}): Rule => ({
  _tag: "adamw",
  adamw: { ...adamwDefaults, ...settings }
})

export const muonRule = (muon: Partial<Muon> = {}, adamw: Partial<AdamW> = {}): Rule => ({
  _tag: "muon",
  muon: { ...muonDefaults, ...muon },
  adamw: { ...adamwDefaults, ...adamw }
})
