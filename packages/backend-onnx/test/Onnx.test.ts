import { expect, layer } from "@effect/vitest"
import { Backend, compile, concat, constant, Graph, HostTensor, iota, loop } from "@foretoken/core"
import type { Buffer, Shape, Tensor } from "@foretoken/core"
import { Onnx } from "@foretoken/backend-onnx"
import { Effect, Exit, Scope } from "effect"

const f32 = (shape: Shape) => ({ dtype: "f32", shape }) as const
const i32 = (shape: Shape) => ({ dtype: "i32", shape }) as const

/** Values of the outputs of `f` applied to constants of the host. */
const evaluate = (inputs: ReadonlyArray<HostTensor>, f: (...inputs: ReadonlyArray<Tensor>) => ReadonlyArray<Tensor>) =>
  Effect.gen(function* () {
    const program = yield* compile(
      "test",
      (xs: ReadonlyArray<Tensor>) => f(...xs),
      inputs.map(({ dtype, shape }) => ({ dtype, shape })),
      "host"
    )
    const outputs = yield* program.run(inputs)
    return outputs.map((value) => ("_tag" in value ? [] : [...value.data]))
  })

layer(Onnx.layer({ device: "cpu", threads: 2 }))("onnxruntime on the cpu", (it) => {
  it.effect("multiplies matrices stored either way, with batches that broadcast", () =>
    Effect.gen(function* () {
      const a = HostTensor.f32([2, 3], [1, 2, 3, 4, 5, 6])
      const b = HostTensor.f32([3, 2], [1, 0, 0, 1, 1, 1])
      const at = HostTensor.f32([3, 2], [1, 4, 2, 5, 3, 6])
      const bt = HostTensor.f32([2, 3], [1, 0, 1, 0, 1, 1])
      const results = yield* evaluate([a, b, at, bt], (a, b, at, bt) => [
        a.matmul(b),
        at.matmul(b, { transposeA: true }),
        a.matmul(bt, { transposeB: true }),
        at.matmul(bt, { transposeA: true, transposeB: true }),
        concat([a, a], 0).reshape([2, 2, 3]).matmul(bt, { transposeB: true })
      ])
      const product = [4, 5, 10, 11]
      expect(results).toEqual([product, product, product, product, [...product, ...product]])
    })
  )

  it.effect("adds up updates of equal ids, the same way every time", () =>
    Effect.gen(function* () {
      const rows = 2000
      const ids = HostTensor.i32(
        [rows],
        Array.from({ length: rows }, (_, i) => (i * 7) % 3)
      )
      const updates = HostTensor.f32(
        [rows, 64],
        Array.from({ length: rows * 64 }, (_, i) => (i % 64) + 1)
      )
      const [sums] = yield* evaluate([ids, updates], (ids, updates) => [updates.scatterAdd(ids, 4)])
      const counts = [0, 1, 2].map((id) => ids.data.filter((x) => x === id).length)
      expect(sums).toEqual([...counts, 0].flatMap((count) => Array.from({ length: 64 }, (_, j) => count * (j + 1))))
    })
  )

  it.effect("indexes: rows, one element per row, the first of equal maxima, one row replaced", () =>
    Effect.gen(function* () {
      const x = HostTensor.f32([2, 3], [1, 7, 7, 5, 4, 5])
      const ids = HostTensor.i32([2], [2, 0])
      const results = yield* evaluate([x, ids], (x, ids) => [
        x.transpose().gather(ids),
        x.pick(ids),
        x.argmax(),
        x.topK(2),
        x.cumsum(),
        x.cumsum(true),
        x.updateAt(1, constant(HostTensor.f32([2, 1], [-1, -2])), constant(HostTensor.i32([], [1]))),
        x.updateAt(0, constant(HostTensor.f32([1, 3], [-1, -2, -3])), constant(HostTensor.i32([], [1])))
      ])
      expect(results).toEqual([
        [7, 5, 1, 5],
        [7, 5],
        [1, 0],
        [7, 7, 5, 5],
        [1, 8, 15, 5, 9, 14],
        [15, 14, 7, 14, 9, 5],
        [1, -1, 7, 5, -2, 5],
        [1, 7, 7, -1, -2, -3]
      ])
    })
  )

  it.effect("loops until the body says no, with values of the graph around it in reach", () =>
    Effect.gen(function* () {
      const results = yield* evaluate([HostTensor.f32([2], [1, 10]), HostTensor.i32([], [3])], (x, limit) => {
        const sum = (maxSteps: number) =>
          loop({ carried: { total: x }, fixed: { x, limit }, maxSteps }, (step, { total }, { x, limit }) => ({
            continues: step.add(1).less(limit),
            carried: { total: total.add(x.mul(step.cast("f32"))) }
          })).total
        return [sum(100), sum(2), sum(0)]
      })
      expect(results).toEqual([
        [4, 40],
        [2, 20],
        [1, 10]
      ])
    })
  )

  it.effect("carries swapped, constant and empty values through a loop", () =>
    Effect.gen(function* () {
      const results = yield* evaluate(
        [HostTensor.f32([], [1]), HostTensor.f32([], [2]), HostTensor.f32([0], [])],
        (a, b, e) => {
          const end = loop({ carried: { a, b, e, c: a }, fixed: {}, maxSteps: 3 }, (_, { a, b, e, c }) => ({
            continues: constant(HostTensor.bool([], [true])),
            carried: { a: b, b: a, e, c: e.sum().add(c) }
          }))
          return [end.a, end.b, end.e, end.c]
        }
      )
      expect(results).toEqual([[2], [1], [], [1]])
    })
  )

  it.effect("gives empty tensors, constants, inputs and the same output twice as they are", () =>
    Effect.gen(function* () {
      const results = yield* evaluate(
        [HostTensor.f32([2], [1, 2]), HostTensor.f32([0, 2], []), HostTensor.bool([2], [1, 0])],
        (x, empty, flag) => {
          const y = x.add(x)
          return [
            x,
            y,
            y,
            x,
            constant(HostTensor.i32([], [7])),
            empty,
            empty.sum(0),
            concat([empty, x.reshape([1, 2])], 0),
            iota([2, 2], 0),
            flag.not().select(flag, flag.not())
          ]
        }
      )
      expect(results).toEqual([[1, 2], [2, 4], [2, 4], [1, 2], [7], [], [0, 0], [1, 2], [0, 0, 1, 1], [0, 0]])
    })
  )

  it.effect("accepts inputs that nothing reads", () =>
    Effect.gen(function* () {
      expect(yield* evaluate([HostTensor.f32([2], [1, 2]), HostTensor.f32([3], [1, 2, 3])], (x) => [x.neg()])).toEqual([
        [-1, -2]
      ])
      expect(yield* evaluate([HostTensor.f32([0], [])], (x) => [x.neg()])).toEqual([[]])
    })
  )

  it.effect("keeps resident outputs where the next run reads them, and donates into the buffer given", () =>
    Effect.gen(function* () {
      const backend = yield* Backend
      const graph = Graph.trace(({ x, y }) => [x.add(y), x.mul(y), x.sub(y)], { x: f32([2]), y: f32([2]) }).graph
      const program = yield* backend.compile(graph, { name: "step", fetch: [{ donate: 0 }, "resident", "host"] })
      const x = yield* backend.upload(HostTensor.f32([2], [1, 2]))
      const [sum, product, difference] = yield* program.run([x, HostTensor.f32([2], [10, 20])])
      expect(sum).toBe(x)
      expect([...(yield* backend.read(x)).data]).toEqual([11, 22])
      expect([...(yield* backend.read(product as Buffer)).data]).toEqual([10, 40])
      expect([...(difference as HostTensor).data]).toEqual([-9, -18])
      yield* backend.apply({ _tag: "add", totals: [x], parts: [yield* backend.upload(HostTensor.f32([2], [89, 0]))] })
      const again = yield* program.run([x, product])
      expect([...(yield* backend.read(again[0] as Buffer)).data]).toEqual([110, 62])
      yield* backend.write(x, HostTensor.f32([2], [5, 6]))
      expect([...(yield* backend.read(x)).data]).toEqual([5, 6])
    })
  )

  it.effect("says so when a buffer is used after its scope closed", () =>
    Effect.gen(function* () {
      const backend = yield* Backend
      const scope = yield* Scope.make()
      const x = yield* Scope.provide(backend.upload(HostTensor.f32([1], [1])), scope)
      yield* Scope.close(scope, Exit.void)
      const program = yield* backend.compile(Graph.trace(({ x }) => [x.neg()], { x: f32([1]) }).graph, {
        name: "neg",
        fetch: ["host"]
      })
      const error = yield* Effect.flip(program.run([x]))
      expect(error).toMatchObject({
        _tag: "ExecutionError",
        program: "neg",
        reason: "input 0 is a buffer whose scope has closed"
      })
      expect(yield* Effect.flip(backend.read(x))).toMatchObject({ _tag: "BackendError" })
    })
  )

  it.effect("refuses what cannot be compiled or donated, and says why", () =>
    Effect.gen(function* () {
      const backend = yield* Backend
      const { graph } = Graph.trace(({ x, n }) => [x.neg(), n.cast("f32"), x.exp()], { x: f32([2]), n: i32([3]) })
      const reason = (fetch: Parameters<typeof backend.compile>[1]["fetch"]) =>
        Effect.map(Effect.flip(backend.compile(graph, { name: "p", fetch })), (error) => error.reason)
      expect(yield* reason(["host"])).toBe("p: 3 outputs, and 1 ways to fetch them")
      expect(yield* reason([{ donate: 0 }, { donate: 1 }, "host"])).toBe(
        "p: output 1 is f32[3], and the input it is to be written into is not"
      )
      expect(yield* reason([{ donate: 0 }, "host", { donate: 0 }])).toBe(
        "p: two outputs are to be written into the same input"
      )
      const program = yield* backend.compile(graph, { name: "p", fetch: [{ donate: 0 }, "host", "host"] })
      const run = program.run([HostTensor.f32([2], [1, 2]), HostTensor.i32([3], [1, 2, 3])])
      expect(yield* Effect.flip(run)).toMatchObject({ _tag: "ExecutionError", reason: "input 0 is no buffer" })
    })
  )

  it.effect("runs the same program twice to the same bits on two threads", () =>
    Effect.gen(function* () {
      const n = 192
      const values = (seed: number) =>
        HostTensor.f32(
          [n, n],
          Array.from({ length: n * n }, (_, i) => Math.sin(i * seed))
        )
      const ids = HostTensor.i32(
        [n],
        Array.from({ length: n }, (_, i) => (i * i) % 5)
      )
      const results = () =>
        evaluate([values(1.3), values(0.7), ids], (a, b, ids) => {
          const c = a.matmul(b, { transposeB: true }).softmax()
          return [
            c,
            c.matmul(b, { transposeA: true }),
            c.sum(),
            a.logSoftmax().scatterAdd(ids, 5),
            a.rmsNorm(b.sliceAxis(0, 0, 1).reshape([n]), 1e-5)
          ]
        })
      expect(yield* results()).toEqual(yield* results())
    })
  )
})
