/**
 * As much of an assembler for WebAssembly as a few loops over vectors of two f64 take. Code is bytes, put together by functions
 * that are named as the instructions of the specification are (https://webassembly.github.io/spec/core/binary): operands come first,
 * as on the stack. What is not well typed is refused where the module is made.
 */

export type Code = ReadonlyArray<number>

const types = { i32: 0x7f, f64: 0x7c, v128: 0x7b } as const
type Type = keyof typeof types

/** LEB128: seven bits a byte, the lowest first. */
const unsigned = (n: number): Code => (n < 0x80 ? [n] : [(n & 0x7f) | 0x80, ...unsigned(n >>> 7)])

/** The same with a sign, which is bit 6 of the last byte. */
const signed = (n: number): Code => (n >= -0x40 && n < 0x40 ? [n & 0x7f] : [(n & 0x7f) | 0x80, ...signed(n >> 7)])

const vector = (items: ReadonlyArray<Code>): Code => [...unsigned(items.length), ...items.flat()]
const sized = (code: Code): Code => [...unsigned(code.length), ...code]

/** An instruction on vectors. */
const simd =
  (opcode: number) =>
  (...operands: ReadonlyArray<Code>): Code => [...operands.flat(), 0xfd, ...unsigned(opcode)]

/** An access to memory at an address and so many bytes on; addresses here are multiples of four. */
const access = (opcode: number, offset: number, ...operands: ReadonlyArray<Code>): Code => [
  ...simd(opcode)(...operands),
  2,
  ...unsigned(offset)
]

export const i32 = {
  const: (n: number): Code => [0x41, ...signed(n)],
  add: (a: Code, b: Code): Code => [...a, ...b, 0x6a],
  lessUnsigned: (a: Code, b: Code): Code => [...a, ...b, 0x49]
}

export const v128 = {
  load: (address: Code, offset: number): Code => access(0x00, offset, address),
  store: (address: Code, offset: number, value: Code): Code => access(0x0b, offset, address, value),
  /** Eight bytes, and zeros behind. */
  load64Zero: (address: Code, offset: number): Code => access(0x5d, offset, address),
  /** The first eight bytes. */
  store64Lane: (address: Code, offset: number, value: Code): Code => [...access(0x5b, offset, address, value), 0]
}

export const f64x2 = {
  splat: simd(0x14),
  /** Of the first two of four f32. */
  promoteLow: simd(0x5f),
  /** To f32, and zeros behind. */
  demoteZero: simd(0x5e),
  sqrt: simd(0xef),
  add: simd(0xf0),
  sub: simd(0xf1),
  mul: simd(0xf2),
  div: simd(0xf3)
}

/** Parameters and behind them locals, by number. */
export const local = {
  get: (index: number): Code => [0x20, ...unsigned(index)],
  set: (index: number, value: Code): Code => [...value, 0x21, ...unsigned(index)]
}

/** Runs `body`, and again as long as `condition` leaves something but 0. */
export const doWhile = (body: Code, condition: Code): Code => [0x03, 0x40, ...body, ...condition, 0x0d, 0, 0x0b]

export interface Function {
  readonly name: string
  readonly parameters: ReadonlyArray<Type>
  readonly locals: ReadonlyArray<Type>
  readonly code: Code
}

/** "\\0asm", version 1. */
const magic: Code = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]

/** The bytes of a module that exports functions under their names, and `pages` of 64 KiB as "memory". */
export const assemble = (functions: ReadonlyArray<Function>, pages: number): Uint8Array<ArrayBuffer> => {
  const section = (id: number, items: ReadonlyArray<Code>): Code => [id, ...sized(vector(items))]
  const name = (text: string): Code => sized([...new TextEncoder().encode(text)])
  const signature = ({ parameters }: Function): Code => [0x60, ...vector(parameters.map((type) => [types[type]])), 0]
  const body = ({ locals, code }: Function): Code =>
    sized([...vector(locals.map((type) => [1, types[type]])), ...code, 0x0b])
  return Uint8Array.from([
    ...magic,
    ...section(1, functions.map(signature)),
    ...section(
      3,
      functions.map((_, i) => unsigned(i))
    ),
    ...section(5, [[0, ...unsigned(pages)]]),
    ...section(7, [[...name("memory"), 2, 0], ...functions.map((f, i) => [...name(f.name), 0, ...unsigned(i)])]),
    ...section(10, functions.map(body))
  ])
}
