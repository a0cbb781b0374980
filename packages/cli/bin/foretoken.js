#!/usr/bin/env node
import { existsSync } from "node:fs"
import * as module from "node:module"

// Compiled code is kept between runs where this Node can do so: `--help` answers sooner.
module.enableCompileCache?.()

const built = new URL("../dist/main.js", import.meta.url)
if (existsSync(built)) {
  await import(built.href)
} else {
  process.stderr.write("foretoken: not built yet; run `npm run build` in the repository first\n")
  process.exitCode = 1
}
