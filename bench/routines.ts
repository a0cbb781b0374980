/**
 * What the optimizer's loops take over weights of so many elements, plain and on vectors, by turns.
 *
 *   node -C @foretoken/source bench/routines.ts [elements] [rounds]
 */
import { adamw, adamwDefaults, adamwNumbers } from "../packages/core/src/routine/adamw.ts"
import { sumOfSquares } from "../packages/core/src/routine/clip.ts"
import { optimizerLoops } from "../packages/core/src/routine/simd/loops.ts"

const [elements = "15191712", rounds = "9"] = process.argv.slice(2)
const make = () => Float32Array.from({ length: Number(elements) }, (_, i) => 0.01 * Math.sin(i))
const loops = optimizerLoops()
const arrays = { param: make(), grad: make(), m: make(), v: make().map(Math.abs) }
const numbers = adamwNumbers(adamwDefaults, 3, 0.5)

const contenders = {
  "AdamW, plain": () => adamw(arrays, numbers),
  "AdamW, vectors": () => loops.adamw(arrays, numbers),
  "norm, plain": () => sumOfSquares(arrays.grad),
  "norm, vectors": () => loops.sumOfSquares(arrays.grad)
}
const taken = new Map<string, Array<number>>()
for (let round = 0; round < Number(rounds); round++) {
  for (const [name, run] of Object.entries(contenders)) {
    const began = performance.now()
    run()
    taken.set(name, [...(taken.get(name) ?? []), performance.now() - began])
  }
}
for (const [name, milliseconds] of taken) {
  const inOrder = milliseconds.toSorted((a, b) => a - b)
  const [fastest, median] = [inOrder[0], inOrder[inOrder.length >> 1]]
  process.stdout.write(
    `${name.padEnd(16)} ${median.toFixed(1).padStart(6)} ms (fastest ${fastest.toFixed(1)}) for ${elements} elements\n`
  )
}
