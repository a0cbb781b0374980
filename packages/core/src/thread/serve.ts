import type { Transferable } from "node:worker_threads"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { mapBuffers } from "../routine/Routine.ts"
import type { Backend, BackendError, Buffer, CompileError, ExecutionError, Program, Value } from "../tensor/Backend.ts"
import type { HostTensor } from "../tensor/HostTensor.ts"
import { decode } from "./GraphData.ts"
import { inSlot, sumOf } from "./messages.ts"
import { makeSpareMemory } from "./spareMemory.ts"
import type { Answer, BufferId, Call, Ferry, Piece, Request } from "./messages.ts"
import type { SentOutput, SentValue, Staged, Summed } from "./messages.ts"

type Say = (answer: Answer, transfer: ReadonlyArray<Transferable>) => void

/** What a call has come to: outputs and numbers for the answer; a program and buffers that stay until it is closed. */
interface Done {
  readonly outputs: ReadonlyArray<SentOutput>
  readonly found: ReadonlyArray<number>
  readonly program: Program | "none"
  readonly buffers: ReadonlyArray<Buffer | "not its own">
}
const nothing: Done = { outputs: [], found: [], program: "none", buffers: [] }

/**
 * The thread's side: takes requests in their order, one at a time, and answers each call. It runs a backend for someone
 * who knows programs and buffers by the calls that made them. `last` is called when it is asked to end.
 */
export const serve = (
  backend: (typeof Backend)["Service"],
  ferry: Ferry,
  say: Say,
  last: () => void
): ((request: Request) => Promise<void>) => {
  const kept = new Map<number, Done & { readonly scope: Scope.Closeable }>()
  const staged = new Map<number, HostTensor>()
  const memory = makeSpareMemory()

  const bufferOf = ({ call, output }: BufferId): Buffer => {
    const buffer = kept.get(call)?.buffers[output]
    if (buffer === undefined || buffer === "not its own") throw new Error("this is a buffer whose scope has closed")
    return buffer
  }
  const programOf = (call: number): Program => {
    const program = kept.get(call)?.program
    if (program === undefined || program === "none") throw new Error("the scope of the program has closed")
    return program
  }
  /** `data` as it has arrived, with the sum that it was sent with. */
  const check = (data: HostTensor["data"], sum: number): void => {
    if (sumOf(data) === sum) return
    const reason = `a value of ${data.length} elements was changed on its way`
    say({ _tag: "damaged", reason }, [])
    throw new Error(reason)
  }
  const hostOf = (value: Summed | Staged): HostTensor => {
    if ("value" in value) {
      check(value.value.data, value.sum)
      return value.value
    }
    const whole = staged.get(value.staged)
    if (whole === undefined) throw new Error("a value was to be sent ahead, and was not")
    staged.delete(value.staged)
    return whole
  }
  const valueOf = (value: SentValue): Value => ("call" in value ? bufferOf(value) : hostOf(value))

  const perform = Effect.fnUntraced(function* (
    call: Call
  ): Effect.fn.Return<Done, CompileError | ExecutionError | BackendError, Scope.Scope> {
    switch (call._tag) {
      case "compile":
        return { ...nothing, program: yield* backend.compile(decode(call.graph), call.options) }
      case "run": {
        const inputs = call.inputs.map(valueOf)
        const outputs = yield* programOf(call.program).run(inputs)
        return {
          ...nothing,
          outputs: outputs.map((value) => ("_tag" in value ? "buffer" : value)),
          // One that was donated is another call's, and stays that.
          buffers: outputs.map((value) => ("_tag" in value && !inputs.includes(value) ? value : "not its own"))
        }
      }
      case "upload": {
        const value = hostOf(call.value)
        const buffer = yield* backend.upload(value)
        free(value)
        return { ...nothing, buffers: [buffer] }
      }
      case "write": {
        const value = hostOf(call.value)
        yield* backend.write(bufferOf(call.buffer), value)
        // Whoever writes a large value writes others, and again: weights of the next policy.
        if ("staged" in call.value) memory.giveBack(value)
        else free(value)
        return nothing
      }
      case "read": {
        if (call.into === "new memory") return { ...nothing, outputs: [yield* backend.read(bufferOf(call.buffer))] }
        yield* backend.read(bufferOf(call.buffer), call.into)
        return { ...nothing, outputs: ["in place"] }
      }
      case "apply":
        return { ...nothing, found: yield* backend.apply(mapBuffers(call.routine, bufferOf)) }
    }
  })

  const answer = async (id: number, call: Call): Promise<void> => {
    const scope = Scope.makeUnsafe()
    const exit = await Effect.runPromiseExit(Scope.provide(perform(call), scope))
    if (Exit.isFailure(exit)) {
      await Effect.runPromise(Scope.close(scope, Exit.void))
      say({ _tag: "failed", id, reason: reasonOf(exit.cause) }, [])
      return
    }
    const { outputs, found, program, buffers } = exit.value
    const nothingStays = program === "none" && buffers.every((buffer) => buffer === "not its own")
    if (nothingStays) await Effect.runPromise(Scope.close(scope, Exit.void))
    else kept.set(id, { ...exit.value, scope })
    say(
      { _tag: "done", id, outputs, found },
      outputs.flatMap((output) => (typeof output === "string" ? [] : memoryOf(output)))
    )
  }

  const close = async (call: number): Promise<void> => {
    const own = kept.get(call)
    kept.delete(call)
    if (own !== undefined) await Effect.runPromise(Scope.close(own.scope, Exit.void))
  }

  const end = async (): Promise<void> => {
    for (const call of [...kept.keys()].toReversed()) await close(call)
    last()
  }

  const gather = ({ staged: id, type, at, elements, slot, sum }: Piece): void => {
    const whole = staged.get(id) ?? memory.take(type)
    staged.set(id, whole)
    whole.data.set(inSlot(ferry, slot, type.dtype, elements), at)
    check(whole.data.subarray(at, at + elements), sum)
    say({ _tag: "emptied", slot }, [])
  }

  const take = (request: Request): void | Promise<void> => {
    switch (request._tag) {
      case "call":
        return answer(request.id, request.call)
      case "close":
        return close(request.call)
      case "piece":
        return gather(request)
      case "forget":
        staged.delete(request.staged)
        return
      case "end":
        return end()
    }
  }
  let taken = Promise.resolve()
  return (request) => (taken = taken.then(() => take(request)))
}

/** Memory that is not needed goes back at once, not when the collector comes round to it. */
const free = ({ data }: { readonly data: HostTensor["data"] }): void => {
  if (data.buffer instanceof ArrayBuffer) data.buffer.transfer(0)
}

/** The memory that moves with a value, where the value has it to itself. */
const memoryOf = ({ data }: HostTensor): ReadonlyArray<Transferable> =>
  data.buffer instanceof ArrayBuffer && data.byteLength === data.buffer.byteLength ? [data.buffer] : []

const reasonOf = (cause: Cause.Cause<{ readonly reason: string }>): string => {
  const [first] = cause.reasons
  if (first !== undefined && Cause.isFailReason(first)) return first.error.reason
  return Cause.pretty(cause).split("\n")[0]
}
