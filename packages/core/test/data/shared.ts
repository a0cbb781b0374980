import { existsSync } from "node:fs"
import { fileURLToPath } from "node:url"

const root = new URL("../../../../../shared/", import.meta.url)

/** The path of test material beside the repository; prints why the tests that need it are skipped where it is missing. */
export function shared(path: string): { readonly path: string; readonly missing: boolean } {
  const full = fileURLToPath(new URL(path, root))
  const missing = !existsSync(full)
  if (missing) process.stderr.write(`skipped: ../shared/${path} is not there\n`)
  return { path: full, missing }
}
