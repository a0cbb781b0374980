import { assert, describe, expect, it } from "@effect/vitest"
import type { Backend, Buffer, Op, Value } from "@foretoken/core"
import { constant, Graph, HostTensor, Reference } from "@foretoken/core"
import { laws } from "@foretoken/core/testing"
import { Effect, type Layer } from "effect"
import { compute } from "../../src/tensor/reference/evaluate.ts"
import { computing, forever, isBuffer, isHost, mapped, onLoops, rewriting, running, serving } from "./sabotage.ts"

describe("the reference", () => {
  for (const law of laws.backend()) {
    it.effect(law.name, () => law.check.pipe(Effect.provide(Reference.layer)))
  }
})

/** What a law says of a backend, if it is broken. */
const complaint = (layer: Layer.Layer<Backend>, name: string) =>
  Effect.gen(function* () {
    const law = laws.backend().find((law) => law.name === name)
    if (law === undefined) return assert.fail(`there is no law "${name}"`)
    return yield* Effect.flip(law.check)
  }).pipe(Effect.provide(layer))

describe("a kernel that is wrong is caught", () => {
  const caught = (what: string, op: Op, wrong: Parameters<typeof computing>[1]) =>
    it.effect(what, () => complaint(computing(op, wrong), `${op} agrees with the reference`))

  caught("rsqrt off by one in a thousand", "rsqrt", (_, right) => mapped(right, (x) => x * 1.001))
  caught("exp off by one in ten thousand", "exp", (_, right) => mapped(right, (x) => x * 1.0001))
  caught("softmax off by one in ten thousand", "softmax", (_, right) =>
    mapped(right, (x, i) => x * (i === 0 ? 1.0001 : 1))
  )
  caught("matmul that loses its last element", "matmul", (_, right) =>
    mapped(right, (x, i) => (i === right.data.length - 1 ? 0 : x))
  )
  caught("scatterAdd where the last of equal ids wins", "scatterAdd", ([ids, updates], right) => {
    const width = updates.data.length / ids.data.length
    return mapped(right, (_, i) => {
      const last = ids.data.lastIndexOf(Math.floor(i / width))
      return last < 0 ? 0 : updates.data[last * width + (i % width)]
    })
  })
  caught("argmax that takes the last of equal maxima", "argmax", ([x], right) => {
    const width = x.shape[x.shape.length - 1]
    return mapped(
      right,
      (best, row) => x.data.lastIndexOf(x.data[row * width + best], (row + 1) * width - 1) - row * width
    )
  })
  caught("a sum over no axis that sums over all", "sum", ([x], right, node) =>
    node.op === "sum" && node.params.axes.length === 0
      ? mapped(right, () => Array.from<number>(x.data).reduce((a, b) => a + b, 0))
      : right
  )
  caught("a maximum that starts from zero", "max", (_, right) => mapped(right, (x) => Math.max(x, 0)))
  caught("a cast that rounds to the nearest", "cast", ([x], right) =>
    right.dtype === "i32" ? mapped(right, (_, i) => Math.round(x.data[i])) : right
  )
  caught("a cast to bool that drops the fraction first", "cast", ([x], right) =>
    right.dtype === "bool" ? mapped(right, (_, i) => (Math.trunc(x.data[i]) === 0 ? 0 : 1)) : right
  )
  caught("topK in ascending order", "topK", (_, right) => ({ ...right, data: right.data.toReversed() }))
  caught("cumsum that ignores its direction", "cumsum", ([x], right, node) =>
    node.op === "cumsum" && node.params.reverse ? compute({ ...node, params: { reverse: false } }, [x]) : right
  )
  caught("attention that does not see its mask", "attention", (inputs, right, node) =>
    node.op === "attention"
      ? compute(
          node,
          inputs.map((x) => (x.dtype === "bool" ? mapped(x, () => 1) : x))
        )
      : right
  )
  caught("less that is less or equal", "less", (inputs, right, node) =>
    node.op === "less" ? mapped(compute(node, inputs.toReversed()), (x) => 1 - x) : right
  )
})

describe("a loop that is wrong is caught", () => {
  const caught = (what: string, wrong: Parameters<typeof onLoops>[0]) =>
    it.effect(what, () => complaint(rewriting(onLoops(wrong)), "loop agrees with the reference"))

  caught("one step too many", (node) => ({ ...node, params: { ...node.params, maxSteps: node.params.maxSteps + 1 } }))
  caught("a loop that never stops early", (node) => {
    const { body } = node.params
    const always = constant(HostTensor.bool([], [1]))
    const rewritten = Graph.make(body.inputs, [always, ...body.outputs.slice(1)])
    return { ...node, params: { ...node.params, body: rewritten } }
  })
})

describe("a backend that keeps values wrongly is caught", () => {
  const caught = (what: string, layer: Layer.Layer<Backend>, by: string) => it.effect(what, () => complaint(layer, by))

  caught(
    "one that gives a new buffer for a donated one",
    serving(({ compile }) => ({
      compile: (graph, { name, fetch }) =>
        compile(graph, { name, fetch: fetch.map((way) => (typeof way === "string" ? way : "resident")) })
    })),
    "a donated input holds the output, is the output, and outlives the run's scope"
  )
  caught(
    "one that replaces a donated buffer before the other outputs are computed",
    serving(({ compile }) => ({
      compile: (graph, { name, fetch }) =>
        Effect.map(
          Effect.forEach(graph.outputs, (output, i) =>
            compile(Graph.make(graph.inputs, [output]), { name, fetch: [fetch[i]] })
          ),
          (programs) => ({
            run: (inputs) =>
              Effect.map(
                Effect.forEach(programs, ({ run }) => run(inputs)),
                (outputs) => outputs.flat()
              )
          })
        )
    })),
    "donated inputs are read before any of them is replaced"
  )
  caught(
    "one that never gives a buffer up",
    serving(({ upload }) => ({ upload: (value) => forever(upload(value)) })),
    "a buffer past its scope is an error, never garbage"
  )
  caught(
    "one that writes into the host's inputs",
    running((run, inputs) =>
      Effect.tap(run(inputs), () => Effect.sync(() => inputs.filter(isHost).forEach(({ data }) => data.fill(0))))
    ),
    "a run leaves the host's inputs and undonated buffers as they were"
  )
  caught(
    "one that hands out the same resident buffer again and again",
    serving(({ compile }) => ({
      compile: (graph, options) =>
        Effect.map(compile(graph, options), ({ run }) => {
          const handedOut = new Map<number, Buffer>()
          return {
            run: (inputs) =>
              Effect.map(run(inputs), (outputs) =>
                outputs.map((output, i) => {
                  if (!isBuffer(output)) return output
                  if (!handedOut.has(i)) handedOut.set(i, output)
                  return handedOut.get(i) ?? output
                })
              )
          }
        })
    })),
    "what a run gave stays when the program runs again, also side by side"
  )
  caught(
    "one whose results change from run to run",
    running((run, inputs) => Effect.map(run(inputs), (outputs) => outputs.map(perturbed))),
    "the same run twice gives the same bits, from the host's inputs or resident ones"
  )
})

let runs = 0
/** Off by a few units in the last place, otherwise each time. */
const perturbed = (value: Value): Value =>
  isBuffer(value) || value.dtype !== "f32"
    ? value
    : { ...value, data: value.data.map((x) => x * (1 + (runs++ % 3) * 1e-7)) }

it.effect("a broken law says what was run, on what, and what came of it, in as small a case as there is", () =>
  Effect.gen(function* () {
    const wrong = computing("rsqrt", (_, right) => mapped(right, (x) => x * 1.001))
    const { message } = yield* complaint(wrong, "rsqrt agrees with the reference")
    expect(message).toMatchInlineSnapshot(`
      "rsqrt agrees with the reference: output 0 differs at element 0: 16.016000747680664, should be 16, off by 0.016000747680664062 of at most 0.0001440001680030889
        got  f32[] [16.016000747680664]
        want f32[] [16]
      of the program
      { lambda a:f32[] .
        let b:f32[] = rsqrt a
        in (b) }
      on
        input 0 f32[] [0.00390625]
      (seed 0, path 0:0:0, 2 shrinks)"
    `)
  })
)
