import { execFileSync } from "node:child_process"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

const python = process.env["FORETOKEN_PYTHON"] ?? "python3"

/** Whether Python has this package; prints why not. */
export const pythonHas = (name: string): boolean => {
  try {
    execFileSync(python, ["-c", `import ${name}`], { stdio: "ignore" })
    return true
  } catch {
    process.stderr.write(`skipped: ${python} has no package ${name}; FORETOKEN_PYTHON may name another Python\n`)
    return false
  }
}

/** The ids that Python's `tokenizers` gives the texts, spelled with spaces between. `directory` is for files on the way. */
export const pythonIds = (
  tokenizerJson: string,
  texts: ReadonlyArray<string>,
  directory: string
): ReadonlyArray<string> => {
  const script = fileURLToPath(new URL("tokenizers/ids.py", import.meta.url))
  const file = join(directory, "texts.jsonl")
  writeFileSync(file, texts.map((text) => `${JSON.stringify(text.toWellFormed())}\n`).join(""))
  const out = execFileSync(python, [script, tokenizerJson, file], { maxBuffer: 2 ** 30, encoding: "utf8" })
  return out.split("\n").slice(0, texts.length)
}
