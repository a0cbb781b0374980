// Makes a fresh clone runnable: installs what the lockfile says when node_modules is missing or older, then builds.
// Runs on any Node >= 20 with nothing installed, so it uses Node's own modules only.
import { spawnSync } from "node:child_process"
import { existsSync, statSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

const root = join(dirname(fileURLToPath(import.meta.url)), "..")

const run = (command, args) => {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: ["ignore", 2, 2] })
  if (error !== undefined) process.stderr.write(`setup: ${command} could not be started: ${error.message}\n`)
  if (status !== 0) process.exit(status ?? 1)
}

const age = (path) => (existsSync(join(root, path)) ? statSync(join(root, path)).mtimeMs : 0)

if (age("node_modules/.package-lock.json") < age("package-lock.json")) run("npm", ["ci", "--loglevel=error"])
run(join(root, "node_modules/.bin/tsc"), ["-b"])
