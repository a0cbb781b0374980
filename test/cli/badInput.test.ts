import { spawnSync } from "node:child_process"
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "@effect/vitest"
import { entryPoint, inProcess } from "./foretoken.ts"
import { saveTinyModel } from "./tinyModel.ts"

const root = mkdtempSync(join(tmpdir(), "foretoken-cli-"))
const model = join(root, "model")
const goodText =
  "Here the dial shows 4. Mia turns the dial up 2, flip, down 1. Now the dial shows 2. Now the dial shows 2."

beforeAll(() => saveTinyModel(model))
afterAll(() => rmSync(root, { recursive: true, force: true }))

const file = (name: string, text: string): string => {
  const path = join(root, name)
  writeFileSync(path, text)
  return path
}

/** A copy of the model with something wrong. */
const broken = (name: string, breakIt: (directory: string) => void): string => {
  const directory = join(root, name)
  cpSync(model, directory, { recursive: true })
  breakIt(directory)
  return directory
}

const editJson = (path: string, edit: (json: Record<string, unknown>) => Record<string, unknown>) =>
  writeFileSync(path, JSON.stringify(edit(JSON.parse(readFileSync(path, "utf8")))))

/** The command fails with this one line and nothing on stdout. */
const refuses = async (args: ReadonlyArray<string>, line: RegExp, code = 1) => {
  const finished = await inProcess(args)
  expect(finished.stdout).toBe("")
  expect(finished.stderr).toMatch(line)
  expect(finished.stderr.trimEnd().split("\n")).toHaveLength(1)
  expect(finished.code).toBe(code)
}

describe("bad input ends with one line and exit code 1", () => {
  for (const objective of ["rpt", "ntp"]) {
    const common = ["--objective", objective, "--max-tokens", "8", "--model", model]

    it(`a corpus line that is no JSON (${objective})`, async () => {
      const corpus = file(`no-json-${objective}.jsonl`, `{"text": "${goodText}"}\nhello\n`)
      const args = [...common, "--corpus", corpus]
      const before = join(root, `run-no-json-${objective}`)
      await refuses(
        ["train", "--steps", "1", "--run", before, ...args],
        /no-json-\w+\.jsonl:2: no JSON: "hello"; each line/
      )
      expect(existsSync(before)).toBe(false)
    })

    it(`a missing field (${objective})`, async () => {
      const corpus = file(`no-field-${objective}.jsonl`, `{"question": "a", "answer": "b"}\n`)
      const before = join(root, `run-no-field-${objective}`)
      const args = ["train", "--steps", "1", "--run", before, ...common, "--corpus", corpus]
      await refuses(args, /no-field-\w+\.jsonl:1: no field "text"; the line has "question", "answer"/)
      expect(existsSync(before)).toBe(false)
    })
  }

  it("a text shorter than the minimum context", async () => {
    const corpus = file("short.jsonl", `{"text": "Here the dial shows 4."}\n`)
    const before = join(root, "run-short")
    const args = ["train", "--steps", "1", "--run", before, "--max-tokens", "8", "--model", model, "--corpus", corpus]
    await refuses(args, /short\.jsonl: no document is longer than the minimum context of 16 tokens; longer documents/)
    expect(existsSync(before)).toBe(false)
    await refuses(
      ["eval", "--model", model, "--corpus", corpus],
      /none of 1 documents is longer than --min-context \(16 tokens\)/
    )
  })

  it("a truncated safetensors file", async () => {
    const directory = broken("truncated", (at) => truncateSync(join(at, "model.safetensors"), 5000))
    await refuses(["score", "--model", directory, "--ids", "1,2"], /truncated.*model\.safetensors: .*truncated/)
    const headerOnly = broken("header-only", (at) => truncateSync(join(at, "model.safetensors"), 5))
    await refuses(
      ["score", "--model", headerOnly, "--ids", "1,2"],
      /header-only.*starts with 8 bytes of length, this one has 5/
    )
  })

  it("a safetensors header that lies about its length", async () => {
    const directory = broken("lying-length", (at) => {
      const path = join(at, "model.safetensors")
      const bytes = readFileSync(path)
      bytes.writeBigUInt64LE(2n ** 60n, 0)
      writeFileSync(path, bytes)
    })
    await refuses(
      ["score", "--model", directory, "--ids", "1,2"],
      /the header claims 1152921504606846976 bytes, the file has \d+/
    )
  })

  it("a safetensors header that lies about a shape", async () => {
    const directory = broken("lying-shape", (at) => {
      const path = join(at, "model.safetensors")
      const text = readFileSync(path, "latin1").replace(/"shape":\[32\]/, '"shape":[99]')
      writeFileSync(path, text, "latin1")
    })
    await refuses(
      ["score", "--model", directory, "--ids", "1,2"],
      /of dtype F32 and shape \[99\] needs 396 bytes, has 128/
    )
  })

  it("an unknown architecture", async () => {
    const directory = broken("unknown", (at) =>
      editJson(join(at, "config.json"), (json) => ({
        ...json,
        model_type: "mamba",
        architectures: ["MambaForCausalLM"]
      }))
    )
    await refuses(["score", "--model", directory, "--ids", "1,2"], /config\.json: model_type "mamba" is not supported/)
  })

  it("a vocabulary that does not fit the embedding", async () => {
    const smaller = broken("smaller", (at) =>
      editJson(join(at, "config.json"), (json) => ({ ...json, vocab_size: Number(json["vocab_size"]) - 1 }))
    )
    await refuses(
      ["score", "--model", smaller, "--ids", "1,2"],
      /the vocabulary does not fit the embedding: config\.json says/
    )
    const larger = broken("larger", (at) =>
      editJson(join(at, "tokenizer.json"), (json) => ({
        ...json,
        added_tokens: [
          ...(json["added_tokens"] as ReadonlyArray<unknown>), // tokenizer.json has a list there
          {
            id: 500,
            content: "<|more|>",
            single_word: false,
            lstrip: false,
            rstrip: false,
            normalized: false,
            special: true
          }
        ]
      }))
    )
    await refuses(
      ["score", "--model", larger, "--text", "The dial"],
      /larger: the vocabulary does not fit the embedding: the tokenizer has 501/
    )
  })

  it("a flag out of range", async () => {
    const args = ["train", "--model", model, "--corpus", "dials"]
    await refuses([...args, "--steps", "0"], /^foretoken: --steps is 0; a whole number of at least 1 was expected$/m)
    await refuses([...args, "--quantile", "1.5"], /--quantile is 1\.5; a share from 0 to 1 was expected/)
    await refuses([...args, "--temperature", "-1"], /--temperature is -1; a number above 0 was expected/)
    await refuses(
      [...args, "--memory", "much"],
      /--memory is "much"; an amount such as 4GB, 1\.5GiB or 800MB was expected/
    )
    await refuses([...args, "--memory", "1MB"], /memory: 0\.001 GB given; this run takes at least [0-9.]+ GB$/m)
    await refuses([...args, "--objective", "ntp", "--memory", "1GB"], /--memory is of --objective rpt/, 2)
    await refuses([...args, "--low", "1"], /--low is 1; at least 0 and below 1 was expected/)
    await refuses(["score", "--model", model, "--ids", "1,99999"], /--ids has 99999; the model has the tokens 0 to \d+/)
  })

  it("a file, a model, a preset, a device that is not there", async () => {
    await refuses(["score", "--model", join(root, "nowhere"), "--ids", "1,2"], /nowhere\/config\.json: no such file/)
    await refuses(["score", "--model", model, "--corpus", join(root, "nowhere.txt")], /nowhere\.txt: no such file/)
    await refuses(
      ["train", "--model", "preset:huge", "--corpus", "dials"],
      /huge: is no preset; there are nano, micro, small/
    )
    await refuses(
      ["score", "--model", model, "--ids", "1,2", "--device", "wasm"],
      /--device is wasm; --backend onnx has/
    )
  })

  it("a run directory that holds something stays as it was", async () => {
    const taken = join(root, "taken")
    mkdirSync(taken)
    writeFileSync(join(taken, "mine.txt"), "mine")
    const args = ["train", "--steps", "1", "--objective", "ntp", "--model", model, "--corpus", "dials", "--run", taken]
    await refuses(args, /taken: already holds something; a run is never overwritten/)
    expect(readdirSync(taken)).toEqual(["mine.txt"])
  })
})

describe("a command that is called wrongly ends with one line and exit code 2", () => {
  it("an unknown flag, a missing one, a value that does not parse, an unknown command", async () => {
    await refuses(
      ["score", "--modle", "x"],
      /there is no flag --modle; did you mean --model\? \(see `foretoken score --help`\)/,
      2
    )
    await refuses(["score", "--ids", "1,2"], /the flag --model is missing/, 2)
    await refuses(["train", "--model", "m", "--corpus", "dials", "--steps", "many"], /--steps is "many"/, 2)
    await refuses(
      ["score", "--model", "m", "--backend", "torch"],
      /--backend is "torch"; "onnx" \| "tfjs" \| "reference" was expected/,
      2
    )
    await refuses(["score", "--model", "m"], /exactly one of --text, --ids and --corpus/, 2)
    await refuses(["score", "--model", "m", "--ids", "1,x"], /--ids is "1,x"; token ids such as 1,2,3 were expected/, 2)
    await refuses(["tarin"], /there is no command "tarin"; did you mean train\?/, 2)
  })
})

/** Runs a training in a mount namespace of its own where `disk` is a file system of so many KiB; lists what is left there. */
const trainOnSmallDisk = (disk: string, kibibytes: number) =>
  spawnSync(
    "sh",
    [
      "-c",
      'exec unshare -rm sh -c "$0" sh "$@"',
      'mount -t tmpfs -o size="$1"k tmpfs "$2" || exit 99; shift 1; disk="$1"; shift; "$@"; code=$?; find "$disk" -mindepth 1 | sort; exit $code',
      String(kibibytes),
      disk,
      process.execPath,
      ...entryPoint,
      ...`train --steps 1 --objective ntp --model ${model} --corpus dials --run ${join(disk, "run")}`.split(" ")
    ],
    { encoding: "utf8" }
  )

describe("a full disk", () => {
  it("ends a training with one line, and no half-written checkpoint stays", (test) => {
    const disk = join(root, "disk")
    mkdirSync(disk)
    const { status, stdout, stderr, error } = trainOnSmallDisk(disk, 64)
    if (error !== undefined || status === 99 || /unshare/.test(stderr)) {
      const reason = `no small file system can be mounted here: ${error?.message ?? stderr.trim()}`
      process.stderr.write(`skipped: ${reason}\n`)
      return test.skip(reason)
    }
    expect(stderr).toMatch(/^foretoken: .*run\/checkpoints\/1\/model\.safetensors: .*disk is full/)
    expect(stderr.trimEnd().split("\n")).toHaveLength(1)
    expect(status).toBe(1)
    const left = stdout
      .trimEnd()
      .split("\n")
      .map((path) => path.slice(disk.length))
    expect(left).toEqual(["/run", "/run/checkpoints", "/run/lock", "/run/manifest.json", "/run/metrics.jsonl"])
  })
})
