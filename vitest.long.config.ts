import { defineConfig, mergeConfig } from "vitest/config"
import base from "./vitest.config.ts"

export default mergeConfig(
  { ...base, test: { ...base.test, include: [], exclude: ["**/node_modules/**"] } },
  // One after the other: some have to be done in a given time.
  defineConfig({ test: { include: ["test/**/*.long.test.ts"], testTimeout: 1_800_000, maxWorkers: 1 } })
)
