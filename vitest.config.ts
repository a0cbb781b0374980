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
    testTimeout: 60_000
  }
})
