import { sizeOf } from "../HostTensor.ts"
import type { Composite } from "../Primitive.ts"
import type { Kernels } from "./Kernel.ts"
import { multiplyRows, requireRow } from "./products.ts"
import type { ReferenceData, ReferenceValue } from "./ReferenceValue.ts"
import { filled } from "./ReferenceValue.ts"
import { broadcastSteps, stretch } from "./strided.ts"

/** Runs over the rows of the last axis: where each begins, and how wide it is. */
const eachRow = ({ shape, data }: ReferenceValue, visit: (start: number, width: number) => void): void => {
  const width = shape[shape.length - 1]
  for (let start = 0; start < data.length; start += width) visit(start, width)
}

const logSumExpOf = (data: ReferenceData, start: number, width: number): number => {
  let top = -Infinity
  for (let i = 0; i < width; i++) top = Math.max(top, data[start + i])
  let total = 0
  for (let i = 0; i < width; i++) total += Math.exp(data[start + i] - top)
  return top + Math.log(total)
}

const dot = (a: ReferenceData, atA: number, b: ReferenceData, atB: number, width: number): number => {
  let total = 0
  for (let i = 0; i < width; i++) total += a[atA + i] * b[atB + i]
  return total
}

/**
 * Written from the definitions, not from the decompositions, so that the two can be compared. Parameters are rounded to
 * f32 first, as a graph's constants are.
 */
export const compositeKernels: Kernels<Composite> = {
  softmax: (_, [x], { dtype, shape }) =>
    filled(dtype, shape, (into) =>
      eachRow(x, (start, width) => {
        const total = logSumExpOf(x.data, start, width)
        for (let i = start; i < start + width; i++) into[i] = Math.exp(x.data[i] - total)
      })
    ),

  logSoftmax: (_, [x], { dtype, shape }) =>
    filled(dtype, shape, (into) =>
      eachRow(x, (start, width) => {
        const total = logSumExpOf(x.data, start, width)
        for (let i = start; i < start + width; i++) into[i] = x.data[i] - total
      })
    ),

  rmsNorm: ({ eps }, [x, weight], { dtype, shape }) =>
    filled(dtype, shape, (into) =>
      eachRow(x, (start, width) => {
        const root = Math.sqrt(dot(x.data, start, x.data, start, width) / width + Math.fround(eps))
        for (let i = 0; i < width; i++) into[start + i] = (x.data[start + i] / root) * weight.data[i]
      })
    ),

  rotary: (_, [x, cos, sin], { dtype, shape }) =>
    filled(dtype, shape, (into) => {
      const half = [...shape.slice(0, -1), shape[shape.length - 1] / 2]
      const [c, s] = [cos, sin].map((angle) => stretch(angle, half).data)
      eachRow(x, (start, width) => {
        for (let i = 0; i < width / 2; i++) {
          const angle = start / 2 + i
          const [a, b] = [x.data[start + i], x.data[start + width / 2 + i]]
          into[start + i] = a * c[angle] - b * s[angle]
          into[start + width / 2 + i] = b * c[angle] + a * s[angle]
        }
      })
    }),

  keep: (_, [x]) => x,

  swiglu: (_, [gate, up], { dtype, shape }) =>
    filled(dtype, shape, (into) => {
      for (let i = 0; i < into.length; i++) into[i] = (gate.data[i] / (1 + Math.exp(-gate.data[i]))) * up.data[i]
    }),

  selectedLogProb: (_, [hidden, vocabulary, ids], { dtype, shape }) =>
    filled(dtype, shape, (into) => {
      const [size, width] = vocabulary.shape
      const together = 32 // rows that share one walk through the vocabulary
      const logits = new Float64Array(together * size)
      for (let first = 0; first < into.length; first += together) {
        const rows = Math.min(together, into.length - first)
        multiplyRows(logits, hidden.data, vocabulary.data, { m: rows, n: size, k: width }, [0, first * width, 0])
        for (let row = 0; row < rows; row++) {
          const id = ids.data[first + row]
          requireRow(id, size)
          into[first + row] = logits[row * size + id] - logSumExpOf(logits, row * size, size)
        }
      }
    }),

  attention: ({ scale }, inputs, { dtype, shape }) => {
    const [q, ...rest] = inputs
    const [documents, heads, branches, length, width] = shape
    const sets = Array.from({ length: rest.length / 3 }, (_, i) => rest.slice(3 * i, 3 * i + 3))

    /** Score and place of its value for each key that a query sees, over all sets. */
    const visible = (d: number, h: number, b: number, l: number, query: number) =>
      sets.flatMap(([k, v, mask]) => {
        const keys = k.shape[k.shape.length - 2]
        const steps = broadcastSteps(mask.shape, [documents, heads, branches, length, keys])
        const seen = [d, h, b, l].reduce((at, index, axis) => at + index * steps[axis], 0)
        const head = d * k.shape[1] + Math.floor(h / (heads / k.shape[1]))
        const first = (k.shape.length === 5 ? head * branches + b : head) * keys
        return Array.from({ length: keys }, (_, c) => c)
          .filter((c) => mask.data[seen + c * steps[4]] === 1)
          .map((c) => {
            const at = (first + c) * width
            return { score: dot(q.data, query, k.data, at, width) * Math.fround(scale), values: v.data, at }
          })
      })

    return filled(dtype, shape, (into) => {
      for (let row = 0; row < sizeOf([documents, heads, branches, length]); row++) {
        const l = row % length
        const b = Math.floor(row / length) % branches
        const h = Math.floor(row / (length * branches)) % heads
        const d = Math.floor(row / (length * branches * heads))
        const keys = visible(d, h, b, l, row * width)
        if (keys.length === 0) throw new RangeError(`the query at [${[d, h, b, l]}] sees no key`)
        const scores = Float64Array.from(keys, ({ score }) => score)
        const total = logSumExpOf(scores, 0, scores.length)
        for (const { score, values, at } of keys) {
          const weight = Math.exp(score - total)
          for (let i = 0; i < width; i++) into[row * width + i] += weight * values[at + i]
        }
      }
    })
  }
}
