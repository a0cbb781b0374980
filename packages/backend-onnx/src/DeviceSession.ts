import type { CompileError } from "@foretoken/core"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { InferenceSession, Tensor as OrtTensor } from "onnxruntime-node"
import type { ModelProto } from "./onnxProto.ts"
import type { Runtime } from "./Runtime.ts"
import type { SessionSettings } from "./Session.ts"
import { createSession } from "./Session.ts"

/** A tensor in the device's memory, to be freed once. */
export interface Held {
  readonly tensor: OrtTensor
  readonly free: () => void
}

/**
 * A session that leaves outputs in the device's memory. They come from the session's own allocator, and freeing one
 * after the session is gone is a use after free: so a session that is closed is released with the last of its outputs.
 */
export class DeviceSession {
  readonly #session: InferenceSession
  #held = 0
  #closed = false

  constructor(session: InferenceSession) {
    this.#session = session
  }

  run(
    feeds: Readonly<Record<string, OrtTensor>>,
    fetched: ReadonlyArray<string>
  ): Promise<Readonly<Record<string, OrtTensor>>> {
    return this.#session.run(feeds, fetched)
  }

  /** Takes over an output of this session that lies in the device's memory. */
  hold(tensor: OrtTensor): Held {
    this.#held++
    const free = () => {
      tensor.dispose()
      this.#held--
      this.#releaseWhenDone()
    }
    return { tensor, free }
  }

  close(): void {
    this.#closed = true
    this.#releaseWhenDone()
  }

  #releaseWhenDone(): void {
    if (this.#closed && this.#held === 0) void this.#session.release()
  }
}

/** A session whose outputs named in `resident` stay on the device; the others go to the host. Closed with its scope. */
export const openDeviceSession = (
  runtime: Runtime,
  settings: SessionSettings,
  name: string,
  model: ModelProto,
  resident: ReadonlyArray<string>
): Effect.Effect<DeviceSession, CompileError, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.map(createSession(runtime, settings, name, model, resident), (session) => new DeviceSession(session)),
    (session) => Effect.sync(() => session.close())
  )
