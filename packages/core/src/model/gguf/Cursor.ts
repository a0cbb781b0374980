/**
 * Reads the head of a file from front to back. Every length is held against the size of the file before anything is made for it.
 * What lies in the file but not yet in memory ends the parse with `Incomplete`, to be made again with more.
 */
import { quote, refuse } from "../refusal.ts"

/** The head of the file that was read is too short; `needed` bytes are wanted. */
export class Incomplete extends Error {
  readonly needed: number
  constructor(needed: number) {
    super("incomplete")
    this.needed = needed
  }
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

export class Cursor {
  at = 0
  readonly #bytes: Uint8Array
  readonly #view: DataView
  readonly #fileSize: number

  /** `bytes` are the first ones of a file of `fileSize`. */
  constructor(bytes: Uint8Array, fileSize: number) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#fileSize = fileSize
  }

  /** Bytes of the file that are still to come. */
  get left(): number {
    return this.#fileSize - this.at
  }

  u8 = (what: string): number => this.#view.getUint8(this.#take(1, what))
  i8 = (what: string): number => this.#view.getInt8(this.#take(1, what))
  u16 = (what: string): number => this.#view.getUint16(this.#take(2, what), true)
  i16 = (what: string): number => this.#view.getInt16(this.#take(2, what), true)
  u32 = (what: string): number => this.#view.getUint32(this.#take(4, what), true)
  i32 = (what: string): number => this.#view.getInt32(this.#take(4, what), true)
  f32 = (what: string): number => this.#view.getFloat32(this.#take(4, what), true)
  u64 = (what: string): bigint => this.#view.getBigUint64(this.#take(8, what), true)
  i64 = (what: string): bigint => this.#view.getBigInt64(this.#take(8, what), true)
  f64 = (what: string): number => this.#view.getFloat64(this.#take(8, what), true)

  /** A number of things of at least `each` bytes that follow: refused where the file has no room for them. */
  count(each: number, what: string): number {
    const count = this.u64(what)
    if (count * BigInt(each) > BigInt(this.left)) {
      return refuse(`${what} claims ${count} entries; for these the ${this.left} bytes that are left have no room`)
    }
    return Number(count)
  }

  /** u64 length, then UTF-8. */
  string(what: string): string {
    return this.text(this.count(1, what), what)
  }

  text(length: number, what: string): string {
    const from = this.#take(length, what)
    try {
      return utf8.decode(this.#bytes.subarray(from, from + length))
    } catch {
      return refuse(`${what} is not UTF-8`)
    }
  }

  #take(length: number, what: string): number {
    const from = this.at
    const end = from + length
    if (end > this.#fileSize) {
      return refuse(`truncated: ${what} would end at byte ${end}, the file has ${this.#fileSize}`)
    }
    if (end > this.#bytes.byteLength) throw new Incomplete(end)
    this.at = end
    return from
  }
}

/** For `what` of the methods. */
export const named = (kind: string, name: string): string => `${kind} ${quote(name)}`
