import type { OptimizerSettings } from "@foretoken/core"
import { adamwRule, muonRule, Schedule } from "@foretoken/core"

/** Every number of the quick start. Sizes are documents, lengths are tokens, rates are peaks. */
export interface Recipe {
  readonly seed: number
  readonly preset: "nano" | "micro" | "small"
  /** Next-token training from random weights. */
  readonly pretraining: {
    readonly steps: number
    readonly documents: number
    /** Share of the documents that spell their computations out. */
    readonly worked: number
    readonly optimizer: OptimizerSettings
  }
  /** Worked examples that show the form, some of them wrong: few, and only these. */
  readonly warmUp: {
    readonly steps: number
    readonly documents: number
    readonly documentsPerStep: number
    /** Share of thought tokens replaced by wrong ones. */
    readonly noise: number
    /** Weight of the plain text beside the examples. */
    readonly trunkWeight: number
    readonly optimizer: OptimizerSettings
  }
  readonly rpt: {
    readonly steps: number
    readonly documents: number
    readonly positions: number
    readonly groupSize: number
    readonly temperature: number
    readonly maxTokens: number
    /** Nats: which positions are asked. */
    readonly minEntropy: number
    readonly learningRate: number
    readonly schedule: Schedule.Schedule
    readonly validateEvery: number
    readonly validationDocuments: number
  }
  readonly controls: {
    readonly nextToken: OptimizerSettings
    readonly warmUp: OptimizerSettings
  }
  readonly evaluation: {
    readonly documents: number
    /** So many of them are asked about all of their positions; the others about the hard and the computed ones. */
    readonly wholeDocuments: number
  }
}

const pretrainingSteps = 600
const warmUpSteps = 300
const rptSteps = 130

export const recipe: Recipe = {
  seed: 1,
  preset: "micro",
  pretraining: {
    steps: pretrainingSteps,
    documents: 16,
    worked: 0.8,
    optimizer: {
      rule: muonRule({ learningRate: 0.02 }, { learningRate: 3e-3, beta2: 0.95 }),
      schedule: Schedule.cosine(1, { steps: pretrainingSteps, warmup: 20, floorShare: 0.1 }),
      maxNorm: 1
    }
  },
  warmUp: {
    steps: warmUpSteps,
    documents: 200,
    documentsPerStep: 8,
    noise: 0.05,
    trunkWeight: 0.5,
    optimizer: {
      rule: adamwRule({ learningRate: 2e-3, beta2: 0.95 }),
      schedule: Schedule.cosine(1, { steps: warmUpSteps, warmup: 20, floorShare: 0.1 }),
      maxNorm: 1
    }
  },
  rpt: {
    steps: rptSteps,
    documents: 8,
    positions: 4,
    groupSize: 8,
    temperature: 1,
    maxTokens: 26,
    minEntropy: 1.5,
    learningRate: 3e-4,
    schedule: Schedule.cosine(1, { steps: rptSteps, warmup: 10, floorShare: 0.1 }),
    validateEvery: 26,
    validationDocuments: 40
  },
  controls: {
    nextToken: {
      rule: muonRule({ learningRate: 0.006 }, { learningRate: 1e-3, beta2: 0.95 }),
      schedule: Schedule.constant(1, 20),
      maxNorm: 1
    },
    warmUp: {
      rule: adamwRule({ learningRate: 5e-4, beta2: 0.95 }),
      schedule: Schedule.constant(1, 20),
      maxNorm: 1
    }
  },
  evaluation: { documents: 250, wholeDocuments: 25 }
}
