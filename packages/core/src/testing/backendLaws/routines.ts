import { Effect, Exit, Scope } from "effect"
import * as fc from "fast-check"
import { adamwDefaults } from "../../routine/adamw.ts"
import { muonDefaults } from "../../routine/muon.ts"
import { applyOnHost } from "../../routine/onHost.ts"
import type { Routine } from "../../routine/Routine.ts"
import { buffersOf } from "../../routine/Routine.ts"
import type { Buffer } from "../../tensor/Backend.ts"
import { Backend } from "../../tensor/Backend.ts"
import type { HostF32, Shape } from "../../tensor/HostTensor.ts"
import { HostTensor, sizeOf } from "../../tensor/HostTensor.ts"
import { showType } from "../../tensor/Shape.ts"
import type { BackendLaw, Finding, Runs } from "./BackendLaw.ts"
import { generatedLaw, writtenLaw } from "./BackendLaw.ts"

/** A routine over lists of buffers that are yet to be made: the lists come in the order of `buffersOf`. */
interface RoutineCase {
  readonly lists: ReadonlyArray<ReadonlyArray<HostF32>>
  readonly of: (lists: ReadonlyArray<ReadonlyArray<Buffer>>) => Routine
}

/** f32 is off by about 1e-7 an operation; a routine is a dozen of them. Relative to the element and to what it was. */
const tolerance = 5e-6

/** What routines do to values that stay: as the host's loops do, up to f32 rounding. */
export const routineLaws = (runs: Runs): ReadonlyArray<BackendLaw> => [
  ...Object.entries(cases).map(([tag, some]) =>
    generatedLaw(`the routine ${tag} does what the host's loop does`, some, agreesWithHost, runs)
  ),
  writtenLaw(
    "the norm of gradients that are not finite is not finite",
    Effect.gen(function* () {
      const { upload, apply } = yield* Backend
      const wrong = [NaN, Infinity, -Infinity].map((x) => HostTensor.f32([3], [1, x, -2]))
      for (const value of wrong) {
        const gradients = [yield* upload(HostTensor.f32([2], [3, 4])), yield* upload(value)]
        const [norm] = yield* apply({ _tag: "norm", gradients })
        if (Number.isFinite(norm)) return `of ${show([value])} it is ${norm}`
      }
    })
  ),
  writtenLaw(
    "a routine that does not fit its buffers is refused, and changes nothing",
    Effect.gen(function* () {
      const { upload, apply, read } = yield* Backend
      const make = (shape: Shape) => upload(HostTensor.fill("f32", shape, 1))
      const [a, b, other] = [yield* make([2]), yield* make([2]), yield* make([3])]
      const whole = yield* upload(HostTensor.i32([2], [1, 1]))
      const scope = yield* Scope.make()
      const closed = yield* Scope.provide(make([2]), scope)
      yield* Scope.close(scope, Exit.void)
      const adamw = {
        _tag: "adamw",
        weights: [a],
        gradients: [b],
        m: [b],
        v: [b],
        settings: adamwDefaults,
        scale: 1
      } as const
      const refused: ReadonlyArray<Routine> = [
        { _tag: "add", totals: [a, b], parts: [a] },
        { _tag: "add", totals: [a], parts: [other] },
        { _tag: "add", totals: [whole], parts: [whole] },
        { _tag: "add", totals: [a], parts: [closed] },
        { _tag: "add", totals: [a, a], parts: [b, b] },
        { _tag: "norm", gradients: [a, whole] },
        { ...adamw, step: 1 },
        { ...adamw, m: [yield* make([2])], v: [yield* make([2])], step: 0 },
        { _tag: "muonApply", weights: [a], directions: [b], settings: muonDefaults }
      ]
      for (const [i, routine] of refused.entries()) {
        const exit = yield* Effect.exit(apply(routine))
        if (Exit.isSuccess(exit)) return `routine ${i} (${routine._tag}) is not refused`
        if (!String(exit.cause).includes("BackendError")) return `routine ${i} ends with ${exit.cause}`
      }
      const left = yield* Effect.forEach([a, b, other], (buffer) => read(buffer))
      const ones = left.every(({ data }) => data.every((x) => x === 1))
      return ones ? undefined : `the buffers became ${show(left)}`
    })
  )
]

const shapes = fc.array(fc.array(fc.integer({ min: 0, max: 5 }), { maxLength: 3 }), { minLength: 1, maxLength: 4 })
const matrices = fc.array(fc.tuple(fc.integer({ min: 1, max: 6 }), fc.integer({ min: 1, max: 6 })), { maxLength: 4 })

const values = (shape: Shape, { min = -2 }: { readonly min?: number } = {}): fc.Arbitrary<HostF32> => {
  const size = sizeOf(shape)
  // Gradients of which some are small: an optimizer divides by their size.
  const element = fc.oneof(fc.float({ min, max: 2, noNaN: true }), fc.constantFrom(0, 1e-3, 0.5)).map(plain)
  return fc.array(element, { minLength: size, maxLength: size }).map((data) => HostTensor.f32(shape, data))
}

/** Without the tiniest floats, which some devices round to zero. */
const plain = (x: number): number => (Math.abs(x) < 1e-6 ? 0 : x)

const listsOf = (
  some: fc.Arbitrary<ReadonlyArray<Shape>>,
  from: ReadonlyArray<{ readonly min?: number }>
): fc.Arbitrary<ReadonlyArray<ReadonlyArray<HostF32>>> =>
  some.chain((all) => fc.tuple(...from.map((range) => fc.tuple(...all.map((shape) => values(shape, range))))))

const share = fc.constantFrom(0, 0.5, 0.9, 0.95)
const rate = fc.constantFrom(1e-3, 0.02, 0.3)
/** What clipping multiplies gradients by. */
const scales = fc.constantFrom(1, 0.5, 0.01)
const any = {}

const cases: { readonly [Tag in Routine["_tag"]]: fc.Arbitrary<RoutineCase> } = {
  add: listsOf(shapes, [any, any]).map((lists) => ({
    lists,
    of: ([totals, parts]) => ({ _tag: "add", totals, parts })
  })),
  norm: listsOf(shapes, [any]).map((lists) => ({ lists, of: ([gradients]) => ({ _tag: "norm", gradients }) })),
  adamw: fc
    .tuple(
      listsOf(shapes, [any, any, { min: 0 }, any]),
      fc.record({ learningRate: rate, beta1: share, beta2: share, weightDecay: share }),
      fc.integer({ min: 1, max: 50 }),
      scales
    )
    .map(([lists, given, step, scale]) => ({
      lists,
      of: ([weights, m, v, gradients]) => {
        const settings = { ...given, eps: 1e-6 }
        return { _tag: "adamw", weights, m, v, gradients, settings, step, scale }
      }
    })),
  muonDirection: fc
    .tuple(listsOf(shapes, [any, any]), share, fc.boolean(), scales)
    .map(([lists, momentum, nesterov, scale]) => ({
      lists,
      of: ([gradients, moments]) => {
        const settings = { ...muonDefaults, momentum, nesterov }
        return { _tag: "muonDirection", gradients, momentum: moments, settings, scale }
      }
    })),
  muonApply: fc.tuple(listsOf(matrices, [any, any]), rate, share).map(([lists, learningRate, weightDecay]) => ({
    lists,
    of: ([weights, directions]) => {
      const settings = { ...muonDefaults, learningRate, weightDecay }
      return { _tag: "muonApply", weights, directions, settings }
    }
  }))
}

const agreesWithHost = ({ lists, of }: RoutineCase): Finding =>
  Effect.gen(function* () {
    const { upload, apply, read } = yield* Backend
    const buffers = yield* Effect.forEach(lists, (list) => Effect.forEach(list, (value) => upload(value)))
    const routine = of(buffers)
    const found = yield* apply(routine)

    const wanted = new Map(buffers.flatMap((list, l) => list.map((buffer, i) => [buffer, lists[l][i].data.slice()])))
    const expected = applyOnHost(routine, (buffer) => wanted.get(buffer) ?? new Float32Array())
    const off = expected.findIndex((want, i) => !near(found[i], want, 0))
    if (found.length !== expected.length || off >= 0) return `it finds [${found}], should find [${expected}]`

    const { changed, read: kept } = buffersOf(routine)
    for (const [l, list] of buffers.entries()) {
      for (const [i, buffer] of list.entries()) {
        const { data: got } = yield* read(buffer)
        const before = lists[l][i].data
        const want = kept.includes(list) ? before : (wanted.get(buffer) ?? before)
        const exact = kept.includes(list)
        const at = want.findIndex((x, j) => (exact ? got[j] !== x : !near(got[j], x, before[j])))
        if (at >= 0) {
          const which = `list ${l} (${exact ? "read" : "changed"}, of ${changed.length + kept.length}), buffer ${i}`
          return `${which}, element ${at}: ${got[at]}, should be ${want[at]}\n  before ${show([lists[l][i]])}`
        }
      }
    }
  })

const near = (got: number, want: number, before: number): boolean =>
  Math.abs(got - want) <= tolerance * (Math.abs(want) + Math.abs(before)) + 1e-6

const show = (all: ReadonlyArray<{ readonly data: ArrayLike<number> } & Parameters<typeof showType>[0]>): string =>
  all.map((value) => `${showType(value)} [${Array.from(value.data).join(", ")}]`).join(", ")
