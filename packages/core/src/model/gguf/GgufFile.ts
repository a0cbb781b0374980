/** A GGUF file that is open: its header, and its tensors one at a time. */
import { Effect } from "effect"
import type { Scope } from "effect"
import { openFile } from "../../storage/Disk.ts"
import type { DiskFile } from "../../storage/Disk.ts"
import type { StorageError } from "../../storage/StorageError.ts"
import type { Half, HostF32, HostHalf } from "../../tensor/HostTensor.ts"
import { ModelFileError } from "../ModelFileError.ts"
import { Incomplete } from "./Cursor.ts"
import { parseGguf } from "./header.ts"
import type { GgufHeader, GgufTensor, Metadata } from "./header.ts"

export interface GgufFile {
  readonly path: string
  readonly metadata: Metadata
  readonly tensors: ReadonlyArray<GgufTensor>
  /** The values of a tensor in f32, read and unpacked by pieces: no more is needed than the tensor itself. One at a time. */
  readonly read: (tensor: GgufTensor) => Effect.Effect<HostF32, ModelFileError | StorageError>
  /** The same, F16 and BF16 as they are. */
  readonly readKept: (tensor: GgufTensor) => Effect.Effect<HostF32 | HostHalf, ModelFileError | StorageError>
}

/** Opens a file for as long as the scope lasts and reads its header. */
export const openGguf = (path: string): Effect.Effect<GgufFile, ModelFileError | StorageError, Scope.Scope> =>
  Effect.gen(function* () {
    const file = yield* openFile(path, "read")
    const { metadata, tensors } = yield* readHeader(file)
    // One for all tensors: whatever is thrown away stays in memory for a while.
    const largest = tensors.reduce((most, { bytes }) => Math.max(most, bytes), 0)
    const buffer = new Uint8Array(Math.min(piece, largest))
    const read = (tensor: GgufTensor) => readTensor(file, tensor, buffer)
    const readKept = (tensor: GgufTensor): ReturnType<GgufFile["readKept"]> => {
      const dtype = halves.get(tensor.type.name)
      return dtype === undefined ? read(tensor) : readHalves(file, tensor, dtype)
    }
    return { path, metadata, tensors, read, readKept }
  })

/** The first read; a header with a vocabulary of 150,000 has some 6 MB. */
const firstRead = 2 ** 20
const largestHeader = 2 ** 28

const readHeader = (file: DiskFile): Effect.Effect<GgufHeader, ModelFileError | StorageError> =>
  Effect.gen(function* () {
    const { path } = file
    const size = yield* file.size
    let length = Math.min(size, firstRead)
    for (;;) {
      const bytes = new Uint8Array(length)
      if (!(yield* file.read(bytes, 0))) return yield* shrank(path)
      const needed = yield* parsed(path, bytes, size)
      if (typeof needed !== "number") return needed
      if (needed > largestHeader) {
        const reason = `the header has more than ${largestHeader} bytes`
        return yield* new ModelFileError({ path, reason })
      }
      length = Math.min(size, Math.max(needed, 2 * length))
    }
  })

/** The header, or how many bytes are needed at least. */
const parsed = (path: string, bytes: Uint8Array, size: number): Effect.Effect<GgufHeader | number, ModelFileError> =>
  Effect.suspend((): Effect.Effect<GgufHeader | number, ModelFileError> => {
    try {
      return Effect.mapError(
        Effect.fromResult(parseGguf(bytes, size)),
        (reason) => new ModelFileError({ path, reason })
      )
    } catch (cause) {
      if (cause instanceof Incomplete) return Effect.succeed(cause.needed)
      throw cause
    }
  })

const shrank = (path: string) =>
  new ModelFileError({ path, reason: "the file ended while it was read: is it still being written?" })

/** Packed bytes that are in memory at a time. */
const piece = 2 ** 20

const readTensor = (
  file: DiskFile,
  { name, shape, elements, type, begin, bytes }: GgufTensor,
  buffer: Uint8Array
): Effect.Effect<HostF32, ModelFileError | StorageError> =>
  Effect.gen(function* () {
    const data = yield* allocate(file, name, () => new Float32Array(elements))
    const whole = buffer.byteLength - (buffer.byteLength % type.bytes)
    for (let done = 0; done < bytes; done += whole) {
      const packed = buffer.subarray(0, Math.min(whole, bytes - done))
      if (!(yield* file.read(packed, begin + done))) return yield* shrank(file.path)
      const from = (done / type.bytes) * type.elements
      type.dequantize(packed, data.subarray(from, from + (packed.byteLength / type.bytes) * type.elements))
    }
    return { dtype: "f32", shape, data }
  })

/** Types of the file that are floats of two bytes. */
const halves: ReadonlyMap<string, Half> = new Map([
  ["F16", "f16"],
  ["BF16", "bf16"]
])

const readHalves = (
  file: DiskFile,
  { name, shape, elements, begin }: GgufTensor,
  dtype: Half
): Effect.Effect<HostHalf, ModelFileError | StorageError> =>
  Effect.gen(function* () {
    const data = yield* allocate(file, name, () => new Uint16Array(elements))
    if (!(yield* file.read(new Uint8Array(data.buffer), begin))) return yield* shrank(file.path)
    return { dtype, shape, data }
  })

const allocate = <A extends ArrayLike<number>>({ path }: DiskFile, name: string, make: () => A) =>
  Effect.try({
    try: make,
    catch: () => new ModelFileError({ path, reason: `no memory for the elements of tensor ${JSON.stringify(name)}` })
  })
