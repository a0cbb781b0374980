import { makeCommand } from "../command.ts"

export const backends = makeCommand({
  name: "backends",
  description: "What runs on this machine, what is missing, and how to get it",
  flags: {},
  examples: [{ command: "foretoken backends", description: "A table of backends and devices" }],
  load: () => import("../actions/backends.ts")
})
