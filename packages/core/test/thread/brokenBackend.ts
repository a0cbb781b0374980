/** The reference on a thread, except for programs whose name says how they break, and the one that breaks once. */
import { readFileSync, rmSync, writeFileSync } from "node:fs"
import { parentPort, workerData } from "node:worker_threads"
import * as Effect from "effect/Effect"
import { Backend } from "../../src/tensor/Backend.ts"
import { Reference } from "../../src/tensor/Reference.ts"
import { inSlot } from "../../src/thread/messages.ts"
import type { Ferry, Request, WorkerData } from "../../src/thread/messages.ts"

export interface Options {
  readonly refuses?: boolean
  /** The thread ends before its backend is there, as often as the file says. */
  readonly endsAtFirst?: string
  /**
   * Programs whose names begin so ("upload", "read": uploads and reads) run as often as the file says, and break then; the file is gone after that.
   */
  readonly breaksOnce?: { readonly program: string; readonly how: string; readonly file: string }
  /** Values of at least so many bytes arrive as often as the file says, and then one with a bit flipped; the file is gone after that. */
  readonly flipsOnce?: { readonly bytes: number; readonly file: string }
}

export const makeBackend = (options: Options) =>
  Effect.gen(function* () {
    if (options.refuses) throw new Error("no such device")
    if (options.endsAtFirst !== undefined && countDown(options.endsAtFirst, -1) >= 0) process.exit(3)
    if (options.flipsOnce !== undefined) flipInTransit(options.flipsOnce)
    const reference = yield* Backend
    return {
      ...reference,
      upload: (value: Parameters<typeof reference.upload>[0]) =>
        Effect.andThen(breakingOnce(options, "upload"), reference.upload(value)),
      read: (...given: Parameters<typeof reference.read>) =>
        Effect.andThen(breakingOnce(options, "read"), reference.read(...given)),
      compile: (graph: Parameters<typeof reference.compile>[0], settings: Parameters<typeof reference.compile>[1]) =>
        Effect.map(reference.compile(graph, settings), ({ run }) => ({
          run: (inputs: Parameters<typeof run>[0]) =>
            Effect.andThen(breakingOnce(options, settings.name), Effect.andThen(breaking(settings.name), run(inputs)))
        }))
    }
  }).pipe(Effect.provide(Reference.layer))

const breakingOnce = ({ breaksOnce }: Options, program: string): Effect.Effect<void> =>
  Effect.suspend(() => {
    if (breaksOnce === undefined || !program.startsWith(breaksOnce.program)) return Effect.void
    const left = countDown(breaksOnce.file)
    return left < 0 ? breaking(breaksOnce.how) : Effect.void
  })

/** The number in the file, one less than before; the file is gone when it falls below 0, and after that nothing is counted. */
const countDown = (file: string, gone = 0): number => {
  try {
    const left = Number(readFileSync(file, "utf8")) - 1
    if (left < 0) rmSync(file)
    else writeFileSync(file, String(left))
    return left
  } catch {
    return gone
  }
}

/** Sees what is sent to the thread before anyone else does. */
const flipInTransit = ({ bytes, file }: NonNullable<Options["flipsOnce"]>): void => {
  const { ferry } = workerData as WorkerData // what connect gave
  parentPort?.on("message", (request: Request) => {
    const data = arriving(request, ferry)
    if (data === undefined || data.byteLength < bytes || countDown(file) >= 0) return
    new Uint8Array(data.buffer, data.byteOffset, data.byteLength)[data.byteLength >> 1] ^= 1
  })
}

const arriving = (request: Request, ferry: Ferry) => {
  if (request._tag === "piece") return inSlot(ferry, request.slot, request.type.dtype, request.elements)
  if (request._tag !== "call" || !("value" in request.call) || !("value" in request.call.value)) return undefined
  return request.call.value.value.data
}

const breaking = (how: string): Effect.Effect<void> => {
  switch (how) {
    case "exit":
      return Effect.sync(() => process.exit(3))
    case "throw":
      return Effect.andThen(
        Effect.sync(() => setImmediate(() => thrown("a kernel has thrown"))),
        Effect.never
      )
    case "memory":
      return Effect.sync(() => {
        const kept: Array<unknown> = []
        for (;;) kept.push(Array.from({ length: 1000 }, (_, i) => ({ i })))
      })
    case "forever":
      return Effect.sync(() => {
        for (;;) Math.random()
      })
    case "slow":
      return Effect.sync(() => {
        const began = performance.now()
        while (performance.now() - began < 400) Math.random()
      })
    default:
      return Effect.void
  }
}

const thrown = (message: string): never => {
  throw new Error(message)
}
