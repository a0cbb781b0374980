import { availableParallelism } from "node:os"
import { defineConfig } from "vitest/config"

// Tests run on the sources (the "@foretoken/source" export condition), so no build has to be fresh.
const conditions = ["@foretoken/source"]

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    include: ["packages/*/test/**/*.test.ts", "test/**/*.test.ts"],
    exclude: ["**/*.long.test.ts", "**/node_modules/**"],
    pool: "forks",
    // Vitest leaves one core alone; of two that is half of the machine.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    testTimeout: 60_000,
    hookTimeout: 60_000
  }
})
