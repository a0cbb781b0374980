/**
 * Checks plain msgpack before it is unpacked: every length against the bytes that are there, how deep values nest, and that
 * there is one value and nothing behind it. A reader that trusts a length of 2^32 - 1 allocates for it.
 * Source: https://github.com/msgpack/msgpack/blob/master/spec.md. Extension types are refused; records have none.
 */
import { Result } from "effect"

/** Records nest four levels. */
const deepest = 16

class Refusal extends Error {}

export const checkMsgpack = (bytes: Uint8Array): Result.Result<void, string> => {
  const data = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let at = 0

  const need = (count: number): number => {
    if (count > bytes.length - at) {
      throw new Refusal(`${count} bytes are announced at byte ${at} of the record, ${bytes.length - at} are there`)
    }
    at += count
    return at - count
  }
  const length = (width: 1 | 2 | 4): number => {
    const from = need(width)
    return width === 1 ? data.getUint8(from) : width === 2 ? data.getUint16(from) : data.getUint32(from)
  }
  const items = (count: number, depth: number): void => {
    // Each takes at least a byte, so that a false count is found before anyone allocates for it.
    if (count > bytes.length - at) throw new Refusal(`${count} values are announced at byte ${at} of the record`)
    if (depth === deepest) throw new Refusal(`values nest deeper than ${deepest} levels at byte ${at} of the record`)
    for (let i = 0; i < count; i++) value(depth + 1)
  }
  const keyed = (count: number, depth: number): void => {
    if (2 * count > bytes.length - at) throw new Refusal(`${count} fields are announced at byte ${at} of the record`)
    items(2 * count, depth)
  }
  const value = (depth: number): void => {
    const start = at
    const type = data.getUint8(need(1))
    if (type < 0x80 || type >= 0xe0) return
    if (type < 0x90) return keyed(type & 0x0f, depth)
    if (type < 0xa0) return items(type & 0x0f, depth)
    if (type < 0xc0) return void need(type & 0x1f)
    switch (type) {
      case 0xc0: // nil
      case 0xc2: // false
      case 0xc3: // true
        return
      case 0xc4: // bin 8
      case 0xd9: // str 8
        return void need(length(1))
      case 0xc5:
      case 0xda:
        return void need(length(2))
      case 0xc6:
      case 0xdb:
        return void need(length(4))
      case 0xcc: // uint 8
      case 0xd0: // int 8
        return void need(1)
      case 0xcd:
      case 0xd1:
        return void need(2)
      case 0xca: // float 32
      case 0xce:
      case 0xd2:
        return void need(4)
      case 0xcb: // float 64
      case 0xcf:
      case 0xd3:
        return void need(8)
      case 0xdc: // array 16
        return items(length(2), depth)
      case 0xdd:
        return items(length(4), depth)
      case 0xde: // map 16
        return keyed(length(2), depth)
      case 0xdf:
        return keyed(length(4), depth)
      default:
        throw new Refusal(`no record holds a value of msgpack type 0x${type.toString(16)}, at byte ${start}`)
    }
  }

  try {
    value(0)
    if (at < bytes.length) throw new Refusal(`${bytes.length - at} bytes follow the record`)
    return Result.succeed(undefined)
  } catch (cause) {
    if (cause instanceof Refusal) return Result.fail(cause.message)
    throw cause
  }
}
