import type { Buffer, TensorType } from "@foretoken/core"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Held } from "./DeviceSession.ts"

/** What a buffer holds: onnxruntime has no tensors without elements on a device. */
export type Contents = Held | "empty"

/** A tensor that lives in the device's memory, until its scope closes. */
export class DeviceBuffer implements Buffer {
  readonly _tag = "Buffer"
  readonly type: TensorType
  #contents: Contents | "freed"

  constructor({ dtype, shape }: TensorType, contents: Contents) {
    this.type = { dtype, shape }
    this.#contents = contents
  }

  get contents(): Contents | "freed" {
    return this.#contents
  }

  /** Other contents: by exchange, nothing is copied. */
  replace(next: Contents): void {
    if (this.#contents === "freed") return release(next)
    release(this.#contents)
    this.#contents = next
  }

  free(): void {
    if (this.#contents === "freed") return
    release(this.#contents)
    this.#contents = "freed"
  }
}

const release = (contents: Contents): void => {
  if (contents !== "empty") contents.free()
}

/** Takes over what is on the device, until the scope closes. */
export const keepOnDevice = (type: TensorType, contents: Contents): Effect.Effect<DeviceBuffer, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => new DeviceBuffer(type, contents)),
    (buffer) => Effect.sync(() => buffer.free())
  )

/** The contents of a value that must be a buffer of a device. Throws for one that is not there any more, or not ours. */
export const contentsOf = (value: Buffer, what: string): Contents => {
  if (!(value instanceof DeviceBuffer)) throw new TypeError(`${what} is a buffer of another backend`)
  if (value.contents === "freed") throw new TypeError(`${what} is a buffer whose scope has closed`)
  return value.contents
}
