import type { Buffer, TensorType } from "@foretoken/core"
import * as tf from "@tensorflow/tfjs-core"

/** A tensor that stays. What a run donates takes its place; the scope it was made in disposes whatever it holds by then. */
export class TfjsBuffer implements Buffer {
  readonly _tag = "Buffer"
  readonly device: string
  readonly type: TensorType
  #tensor: tf.Tensor

  constructor(device: string, type: TensorType, tensor: tf.Tensor) {
    this.device = device
    this.type = type
    this.#tensor = tf.keep(tensor)
  }

  get tensor(): tf.Tensor {
    return this.#tensor
  }

  replace(tensor: tf.Tensor): void {
    this.#tensor.dispose()
    this.#tensor = tf.keep(tensor)
  }

  dispose(): void {
    this.#tensor.dispose()
  }

  /** The buffer as one of `device` that still lives; throws what is wrong otherwise. */
  static of(device: string, buffer: Buffer): TfjsBuffer {
    if (!(buffer instanceof TfjsBuffer)) throw new Error("the buffer is another backend's")
    if (buffer.device !== device) throw new Error(`the buffer is on ${buffer.device}`)
    if (buffer.tensor.isDisposed) throw new Error("the buffer is gone: the scope it was made in has closed")
    return buffer
  }
}
