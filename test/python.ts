import { spawnSync } from "node:child_process"

/** A Python that has some packages: FORETOKEN_PYTHON or python3. Prints why the tests that need it are skipped without. */
export const pythonWith = (
  packages: ReadonlyArray<string>
): { readonly run: (script: string, args: ReadonlyArray<string>) => string; readonly missing: boolean } => {
  const python = process.env["FORETOKEN_PYTHON"] ?? "python3"
  // Found, not imported: torch takes seconds to load.
  const probe = `import importlib.util as u, sys; sys.exit(' '.join(p for p in sys.argv[1:] if u.find_spec(p) is None) or 0)`
  const { status, stderr, error } = spawnSync(python, ["-c", probe, ...packages], { encoding: "utf8" })
  if (status !== 0) {
    const reason = error === undefined ? `lacks ${stderr.trim()}` : error.message
    process.stderr.write(`skipped: ${python} ${reason}; FORETOKEN_PYTHON names one that has ${packages.join(", ")}\n`)
  }
  const run = (script: string, args: ReadonlyArray<string>): string => {
    const done = spawnSync(python, ["-c", script, ...args], {
      encoding: "utf8",
      env: { ...process.env, HF_HUB_OFFLINE: "1", TRANSFORMERS_VERBOSITY: "error" }
    })
    if (done.status !== 0) throw new Error(done.stderr)
    return done.stdout
  }
  return { run, missing: status !== 0 }
}
