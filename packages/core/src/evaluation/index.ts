export { type BootstrapSettings, type Interval, meanInterval, pairedDifference, type Sample } from "./bootstrap.ts"
export {
  type AccuracyRow,
  type AccuracyTable,
  accuracyTable,
  paperThresholds,
  type PositionRecord,
  samples
} from "./nextToken.ts"
export { passAtK } from "./passAtK.ts"
