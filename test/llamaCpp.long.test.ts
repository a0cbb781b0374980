import { spawnSync } from "node:child_process"
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { Effect } from "effect"
import { expect, it } from "vitest"
import { loadModel, loadTokenizer, saveGguf } from "../packages/core/src/index.ts"
import { shared } from "../packages/core/test/data/shared.ts"
import { temporaryDirectory } from "../packages/core/test/temporary.ts"

/** A file of its own, because node-llama-cpp starts processes as it was started: greedy tokens behind some ids, and the ids of a text. */
const script = `
const { getLlama, LlamaLogLevel } = await import(process.argv[2])
const llama = await getLlama({ gpu: false, build: "never", logLevel: LlamaLogLevel.error, progressLogs: false, maxThreads: 1 })
const answers = []
for (const { path, prompts, text } of JSON.parse(process.argv[3])) {
  const model = await llama.loadModel({ modelPath: path })
  const greedy = []
  for (const { ids, count } of prompts) {
    const context = await model.createContext({ contextSize: 256 })
    const own = []
    for await (const token of context.getSequence().evaluate(ids, { temperature: 0, yieldEogToken: true })) {
      own.push(token)
      if (own.length >= count) break
    }
    greedy.push(own)
    await context.dispose()
  }
  answers.push({ greedy, text: model.tokenize(text), bos: model.tokens.bos })
  await model.dispose()
}
process.stdout.write(JSON.stringify(answers))
process.exit(0)
`

/** Where llama.cpp is: a directory in which node-llama-cpp is installed. Prints why there is none. */
const directory = process.env["FORETOKEN_LLAMA_CPP"]
const missing = directory === undefined
if (missing) {
  const how = "npm install --ignore-scripts node-llama-cpp@3.21.1"
  process.stderr.write(`skipped: FORETOKEN_LLAMA_CPP names no directory in which someone has run \`${how}\`\n`)
}

const stories = [shared("models/stories15M"), shared("models/stories260K")]
const root = temporaryDirectory()

interface Golden {
  readonly ids: ReadonlyArray<number>
  readonly greedy?: ReadonlyArray<number>
}

it.skipIf(missing || stories.some((model) => model.missing))(
  "llama.cpp loads the GGUF files that we write, cuts a text into the same tokens, and goes on as transformers does",
  async () => {
    const text = 'Once upon a time, Lily met a bear. "Who\'s there?" she asked; 12 birds sang.'
    const asked = await Promise.all(
      stories.flatMap(({ path: model }, i) =>
        (["F32", "F16", "BF16", "Q8_0"] as const).map(async (type) => {
          const path = join(root, `${i}-${type}.gguf`)
          await Effect.runPromise(Effect.flatMap(loadModel(model), (stored) => saveGguf(path, stored, type)))
          const golden: ReadonlyArray<Golden> = JSON.parse(readFileSync(join(model, "golden.json"), "utf8"))
          const known = golden.flatMap(({ ids, greedy }) => (greedy === undefined ? [] : [{ ids, greedy }]))
          // Weights that are rounded may come to another token; where they do at once, they are not these weights.
          const exact = type === "F32" || (type === "F16" && model.endsWith("15M"))
          const prompts = known.map(({ ids, greedy }) => ({ ids, count: exact ? greedy.length : 1 }))
          const expected = known.map(({ greedy }) => greedy.slice(0, exact ? greedy.length : 1))
          const ids = (await Effect.runPromise(loadTokenizer(model))).encode(text)
          return { path, prompts, text, expected, ids: [...ids] }
        })
      )
    )
    expect(asked.every(({ prompts }) => prompts.length > 0)).toBe(true)
    const program = join(root, "ask.mjs")
    writeFileSync(program, script)
    const library = pathToFileURL(join(directory ?? "", "node_modules/node-llama-cpp/dist/index.js")).href
    const flags = [program, library, JSON.stringify(asked)]
    const { stdout, stderr, status } = spawnSync(process.execPath, flags, { encoding: "utf8" })
    expect(status, stderr).toBe(0)
    const answers: ReadonlyArray<{ readonly greedy: unknown; readonly text: unknown; readonly bos: unknown }> =
      JSON.parse(stdout)
    expect(answers.map(({ greedy }) => greedy)).toEqual(asked.map(({ expected }) => expected))
    expect(answers.map((answer) => answer.text)).toEqual(asked.map(({ ids }) => ids))
    expect(new Set(answers.map(({ bos }) => bos))).toEqual(new Set([1]))
  },
  120_000
)
