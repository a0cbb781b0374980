import { conditionalDense, dense } from "./dense.ts"
import { firstToken } from "./firstToken.ts"
import { format } from "./format.ts"
import { informationGain } from "./informationGain.ts"
import { mathAnswer } from "./mathAnswer.ts"
import { prefixMatch } from "./prefixMatch.ts"
import { segmentMatch } from "./segmentMatch.ts"
import { uniformPenalty } from "./uniformPenalty.ts"

/** The rewards that a command line knows by name, with their usual settings. */
export const builtin = {
  prefixMatch,
  firstToken,
  dense: dense(),
  conditionalDense: conditionalDense(),
  uniformPenalty: uniformPenalty(),
  informationGain: informationGain(),
  segmentMatch: segmentMatch(),
  format,
  mathAnswer
} as const
