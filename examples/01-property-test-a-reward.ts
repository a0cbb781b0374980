// 01: property-test a reward. `overlap` is wrong, and a law says so.   npx node examples/01-property-test-a-reward.ts
import { test } from "node:test"
import { Reward } from "@foretoken/core"
import { laws } from "@foretoken/core/testing"

// The share of predicted bytes that are right. Overlooked: a completion that predicts nothing.
const score: Reward.PureScore = ({ prediction }, { continuation }) => {
  const bytes = prediction.outcome === "answered" ? prediction.bytes : new Uint8Array()
  return bytes.filter((byte, i) => byte === continuation.bytes[i]).length / bytes.length
}
const overlap = Reward.pure("overlap", score, Reward.verifier) // claims: 0 to 1, and nothing without an answer

for (const { name, check } of laws.reward(overlap)) test(name, check)
for (const { name, check } of laws.reward(Reward.prefixMatch)) test(name, check)
