/** Bytes that are worth a call of their own. */
const worthwhile = 2 ** 22

/** Parts are not more than about so many, so that few programs are compiled where a routine is one. */
const most = 16

/**
 * Names cut into parts of some MiB by what they stand for, the largest first: what comes after one part is then done while others
 * are still at work, and only a small one is left to wait for at the end. The same sizes are cut the same way.
 */
export const inParts = (
  names: ReadonlyArray<string>,
  bytesOf: (name: string) => number
): ReadonlyArray<ReadonlyArray<string>> => {
  const total = names.reduce((sum, name) => sum + bytesOf(name), 0)
  const enough = Math.max(worthwhile, total / most)
  const parts: Array<Array<string>> = []
  let room = 0
  for (const name of names.toSorted((a, b) => bytesOf(b) - bytesOf(a))) {
    if (room <= 0) {
      parts.push([])
      room = enough
    }
    parts[parts.length - 1].push(name)
    room -= bytesOf(name)
  }
  return parts
}
