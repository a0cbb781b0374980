/** Numbers of a record and how they go on the wire: typed arrays as their little-endian bytes, so that every bit comes back. */
import { Schema, SchemaTransformation } from "effect"

/** Assumes a little-endian host, as all that tensor engines run on are. */
const bytesOf = ({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength)

// instanceOf would say "over an ArrayBuffer"; what is written may lie over any buffer.
const wire: Schema.Codec<Uint8Array> = Schema.instanceOf(Uint8Array)

const wireOf = (bytesEach: number): Schema.Codec<Uint8Array> =>
  wire.check(Schema.makeFilter((bytes) => bytes.length % bytesEach === 0 || `expected ${bytesEach} bytes a number`))

/**
 * A typed array by its constructor. What is read lies anywhere in a segment: it is copied, which aligns it and lets the segment
 * go.
 */
const column = <A extends ArrayBufferView>(
  type: (new (buffer: ArrayBuffer) => A) & { readonly BYTES_PER_ELEMENT: number }
): Schema.Codec<A, Uint8Array> =>
  wireOf(type.BYTES_PER_ELEMENT).pipe(
    Schema.decodeTo(
      Schema.declare((value): value is A => value instanceof type),
      SchemaTransformation.transform<A, Uint8Array>({
        decode: (bytes) => new type(new Uint8Array(bytes).buffer),
        encode: bytesOf
      })
    )
  )

export const Bytes = column<Uint8Array>(Uint8Array)
export const Int32s = column<Int32Array>(Int32Array)
export const Float32s = column<Float32Array>(Float32Array)
export const Float64s = column<Float64Array>(Float64Array)

const eightBytes = wire.check(Schema.makeFilter((bytes) => bytes.length === 8 || "expected the 8 bytes of a number"))
const negativeZero = bytesOf(Float64Array.of(-0))

/** A number with its every bit: msgpack writers store -0 as the integer 0, so that one goes as its bytes. */
export const Exact: Schema.Codec<number, number | Uint8Array> = Schema.Union([Schema.Number, eightBytes]).pipe(
  Schema.decodeTo(
    Schema.Number,
    SchemaTransformation.transform<number, number | Uint8Array>({
      decode: (value) => (typeof value === "number" ? value : new Float64Array(new Uint8Array(value).buffer)[0]),
      encode: (value) => (Object.is(value, -0) ? negativeZero : value)
    })
  )
)
