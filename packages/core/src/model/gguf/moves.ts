/** Values moved between the layouts of llama.cpp (and of Meta's checkpoints) and of transformers. */

/** Floats of four bytes, or the bits of those of two. */
type Floats = Float32Array | Uint16Array

/**
 * The rows of each head, in place, from pairs side by side (0 0' 1 1' ...) to halves (0 1 ... 0' 1' ...): row 2i + h of a head
 * becomes row h headDim / 2 + i. `data` is [heads * headDim, columns]; the copy of one head is all the memory that it needs.
 */
export const pairsToHalves = (data: Floats, heads: number, headDim: number): void =>
  moveRows(data, heads, headDim, (i, half) => [half * (headDim / 2) + i, 2 * i + half])

/** The inverse of `pairsToHalves`. */
export const halvesToPairs = (data: Floats, heads: number, headDim: number): void =>
  moveRows(data, heads, headDim, (i, half) => [2 * i + half, half * (headDim / 2) + i])

const moveRows = (
  data: Floats,
  heads: number,
  headDim: number,
  rows: (i: number, half: number) => readonly [to: number, from: number]
): void => {
  const perHead = data.length / heads
  const columns = perHead / headDim
  for (let head = 0; head < heads; head++) {
    const moved = data.subarray(head * perHead, (head + 1) * perHead)
    const before = moved.slice()
    for (let i = 0; i < headDim / 2; i++) {
      for (const half of [0, 1]) {
        const [to, from] = rows(i, half)
        moved.set(before.subarray(from * columns, (from + 1) * columns), to * columns)
      }
    }
  }
}

/** [rows, columns] to [columns, rows]. */
export const transposed = (data: Float32Array, rows: number, columns: number): Float32Array<ArrayBuffer> =>
  transposedInto(new Float32Array(data.length), data, rows, columns)

/** The same into other memory, which it gives. */
export const transposedInto = <A extends Floats>(turned: A, data: Floats, rows: number, columns: number): A => {
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) turned[column * rows + row] = data[row * columns + column]
  }
  return turned
}
