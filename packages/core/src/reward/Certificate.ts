/**
 * What a reward was put through before it trained anything: the laws that held and those that did not, and what the search
 * for exploits came to. It stands beside the reward as JSON and goes into the manifest and the checkpoints of a run. It holds
 * for one source: a reward that was changed since needs another.
 */
import { readFile } from "node:fs/promises"
import { extname } from "node:path"
import { Effect, Schema } from "effect"
import { writeTextAtomically } from "../storage/atomic.ts"
import { StorageError } from "../storage/StorageError.ts"

const Searched = Schema.TaggedStruct("Searched", {
  template: Schema.String,
  tokenizer: Schema.String,
  /** `hash` is the SHA-256 of the texts that were read. */
  corpus: Schema.Struct({ name: Schema.String, hash: Schema.String }),
  seed: Schema.Int,
  /** Problems that the scores are means over, and strategies that were tried. */
  positions: Schema.Int,
  tried: Schema.Int,
  /** Mean reward of the best honest guesser, and of the truth. */
  honest: Schema.Finite,
  truth: Schema.Finite,
  /** The strategy that is paid most for wrong answers, as a mean over all problems. */
  best: Schema.Struct({ strategy: Schema.String, paidWhileWrong: Schema.Finite }),
  /** What earns more than honesty by wrong answers: mean reward, gain above honesty and its standard error. */
  exploits: Schema.Array(
    Schema.Struct({
      strategy: Schema.String,
      reward: Schema.Finite,
      gain: Schema.Finite,
      standardError: Schema.Finite
    })
  )
})

const Skipped = Schema.TaggedStruct("Skipped", { reason: Schema.String })

export const Certificate = Schema.Struct({
  format: Schema.Literal(1),
  /** The version of Foretoken that looked. */
  foretoken: Schema.String,
  reward: Schema.String,
  /** SHA-256 (hex) of the reward's file; what it imports is not in it. */
  sourceHash: Schema.String,
  laws: Schema.Struct({
    template: Schema.String,
    /** Cases of each law. */
    runs: Schema.Int,
    seed: Schema.Int,
    passed: Schema.Array(Schema.String),
    broken: Schema.Array(Schema.String)
  }),
  search: Schema.Union([Searched, Skipped])
})
export type Certificate = typeof Certificate.Type

/** A file that is no certificate. `path: problem` is one line. */
export class CertificateError extends Schema.TaggedError<CertificateError>()("CertificateError", {
  path: Schema.String,
  problem: Schema.String
}) {
  override get message(): string {
    return `${this.path}: ${this.problem}`
  }
}

/** Where the certificate of a reward in a file stands: my-reward.certificate.json beside my-reward.ts. */
export const certificatePath = (rewardFile: string): string =>
  `${rewardFile.slice(0, rewardFile.length - extname(rewardFile).length)}.certificate.json`

export const writeCertificate = (path: string, certificate: Certificate): Effect.Effect<void, StorageError> =>
  writeTextAtomically(path, `${JSON.stringify(Schema.encodeSync(Certificate)(certificate), undefined, 2)}\n`)

export const readCertificate = (path: string): Effect.Effect<Certificate, CertificateError | StorageError> =>
  Effect.tryPromise({ try: () => readFile(path, "utf8"), catch: (cause) => StorageError.of(path, cause) }).pipe(
    Effect.flatMap(Schema.decodeUnknownEffect(Schema.fromJsonString(Certificate))),
    Effect.catchTag("SchemaError", ({ message }) => {
      const problem = `no certificate of a reward: ${message.replaceAll(/\s*\n\s*/g, " ")}`
      return new CertificateError({ path, problem })
    })
  )
