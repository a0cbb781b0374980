import { nodeProblem } from "./nodeVersion.ts"

const problem = nodeProblem(process.versions.node)
if (problem === "none") {
  // Loaded only now: on an older Node the libraries themselves would fail, at length.
  const { main } = await import("./app.ts")
  main(process.argv.slice(2))
} else {
  process.stderr.write(`foretoken: ${problem}\n`)
  process.exitCode = 1
}
