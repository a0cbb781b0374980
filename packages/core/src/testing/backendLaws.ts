import { Effect } from "effect"
import * as fc from "fast-check"
import { rules, stop } from "../autodiff/rules.ts"
import type { Value } from "../tensor/Backend.ts"
import { Backend, CompileError } from "../tensor/Backend.ts"
import { Graph } from "../tensor/Graph.ts"
import { HostTensor } from "../tensor/HostTensor.ts"
import type { HostTensor as Host, TensorType } from "../tensor/HostTensor.ts"
import type { Tensor } from "../tensor/Tensor.ts"
import { type Infer, infer } from "../tensor/infer.ts"
import type { Op } from "../tensor/Primitive.ts"
import { isComposite } from "../tensor/Primitive.ts"
import { expand } from "../tensor/simplify.ts"
import { disagreement } from "./backendLaws/agreement.ts"
import type { BackendLaw, Finding, Runs } from "./backendLaws/BackendLaw.ts"
import { generatedLaw } from "./backendLaws/BackendLaw.ts"
import { bufferLaws } from "./backendLaws/buffers.ts"
import { backward, type Case, forward, graphOf } from "./backendLaws/Case.ts"
import { cases } from "./backendLaws/cases.ts"
import { smallPrograms } from "./backendLaws/programs.ts"
import { routineLaws } from "./backendLaws/routines.ts"
import { threadLaws } from "./backendLaws/threads.ts"
import { floats } from "./backendLaws/values.ts"

export { type BackendLaw, LawViolation } from "./backendLaws/BackendLaw.ts"

export interface BackendLawSettings {
  /** Generated cases per law, each a program of its own; default 12. */
  readonly runs?: number
  /** Default 0: the same cases every time. */
  readonly seed?: number
  /** Relative error that every primitive may make in its inputs and its result; default 2e-6, 17 units in the last place. */
  readonly tolerance?: number
  /** Only these, and nothing but their own laws; all by default. */
  readonly primitives?: ReadonlyArray<Op>
}

/**
 * What holds of every backend: each primitive and each gradient agrees with the float64 reference, composites also where
 * they stand decomposed, small programs do, and values that stay on the backend behave. Provide the backend's layer.
 *
 * @example
 * for (const law of laws.backend({ runs: 10 })) it.effect(law.name, () => law.check.pipe(Effect.provide(Onnx.layer())))
 */
export const backendLaws = (settings: BackendLawSettings = {}): ReadonlyArray<BackendLaw> => {
  const { runs = 12, seed = 0, tolerance = 2e-6, primitives = allPrimitives } = settings
  const each = primitives.flatMap((op) => primitiveLaws(op, { runs, seed }, tolerance))
  if (settings.primitives !== undefined) return each
  const kept = [...bufferLaws, ...routineLaws({ runs, seed }), ...threadLaws]
  return [...each, ...programLaws({ runs, seed }, tolerance), ...kept]
}

const allPrimitives = Object.keys(cases) as ReadonlyArray<Op> // CaseTable has exactly the primitives

const primitiveLaws = (op: Op, runs: Runs, tolerance: number): ReadonlyArray<BackendLaw> => {
  // CaseTable pairs op with params; the table is indexed by that op, which TypeScript cannot follow.
  const some = cases[op] as fc.Arbitrary<Case<Op>>
  const run = ({ params, inputs }: Case<Op>) => graphOf(forward(op, params), inputs)
  const laws = [
    generatedLaw(`${op} agrees with the reference`, some, (at) => agrees(run(at), at.inputs, tolerance), runs)
  ]
  if (isComposite(op)) {
    const decomposed = (at: Case<Op>) => agrees(expand(run(at), new Set()), at.inputs, tolerance)
    laws.push(generatedLaw(`${op} agrees with the reference where it stands decomposed`, some, decomposed, runs))
  }
  if (isDifferentiable(op)) {
    const differentiated = ({ params, inputs }: Case<Op>) =>
      agrees(graphOf(backward(forward(op, params)), inputs), inputs, tolerance)
    laws.push(generatedLaw(`the gradient of ${op} agrees with the reference`, weighted(op, some), differentiated, runs))
  }
  return laws
}

/** Whether a gradient flows through. */
export const isDifferentiable = (op: Op): boolean => typeof rules[op] === "function" && rules[op] !== stop

/** Cases among floats, with weights of the output's shape as one more input. */
export const weighted = (op: Op, some: fc.Arbitrary<Case<Op>>): fc.Arbitrary<Case<Op>> =>
  some
    .map((at) => ({ ...at, output: outputOf(op, at) }))
    .filter(({ inputs, output }) => output.dtype === "f32" && inputs.some(({ dtype }) => dtype === "f32"))
    .chain(({ params, inputs, output }) =>
      floats(output.shape, "small").map((weights) => ({ params, inputs: [...inputs, weights] }))
    )

const outputOf = (op: Op, { params, inputs }: Case<Op>): TensorType => (infer[op] as Infer<Op>)(params, inputs)[0] // the table is indexed by the op whose params these are

const programLaws = (runs: Runs, tolerance: number): ReadonlyArray<BackendLaw> => [
  generatedLaw(
    "small programs agree with the reference",
    smallPrograms,
    ({ run, inputs }) => agrees(graphOf(run, inputs), inputs, tolerance),
    { ...runs, runs: 3 * runs.runs }
  ),
  generatedLaw(
    "gradients of small programs agree with the reference",
    smallPrograms,
    ({ run, inputs, weights }) => agrees(graphOf(backward(run), [...inputs, weights]), [...inputs, weights], tolerance),
    { ...runs, runs: 2 * runs.runs }
  ),
  generatedLaw(
    "a program with its inputs baked agrees with the reference",
    smallPrograms,
    ({ run, inputs }) => {
      const fixed = new Map([1, 2].map((i) => [i, inputs[i]] as const))
      return agrees(Graph.bake(graphOf(run, inputs), fixed), [inputs[0], inputs[3]], tolerance)
    },
    runs
  ),
  generatedLaw(
    "floats of two bytes are widened exactly, or refused by name",
    keptTables,
    ({ table, ids }) => {
      const widened = ([kept, at]: ReadonlyArray<Tensor>) => [kept.cast("f32"), kept.gather(at).cast("f32")]
      const refused = (error: unknown) =>
        error instanceof CompileError && error.reason.includes(`keeps no ${table.dtype}`)
          ? Effect.succeed(undefined)
          : Effect.fail(error)
      return Effect.catch(agrees(graphOf(widened, [table, ids]), [table, ids], 0), refused)
    },
    runs
  )
]

/** Rows of any bits, and some of their numbers. Bits of a NaN may become those of another one. */
const keptTables = fc
  .record({
    dtype: fc.constantFrom("f16" as const, "bf16" as const),
    bits: fc.array(fc.oneof(fc.nat(0xffff), fc.constantFrom(0, 1, 0x8000, 0x3ff, 0x7c00, 0x7f80, 0xff80)), {
      minLength: 12,
      maxLength: 12
    }),
    ids: fc.array(fc.nat(3), { minLength: 1, maxLength: 5 })
  })
  .map(({ dtype, bits, ids }) => ({
    table: HostTensor.half(dtype, [4, 3], bits),
    ids: HostTensor.i32([ids.length], ids)
  }))

/** The graph on the backend under test, from the host and back. */
const agrees = (graph: Graph, inputs: ReadonlyArray<Host>, tolerance: number): Finding =>
  Effect.gen(function* () {
    const { compile } = yield* Backend
    const program = yield* compile(graph, { name: "law", fetch: graph.outputs.map(() => "host" as const) })
    const outputs = yield* program.run(inputs)
    const missing = outputs.findIndex((output: Value) => "_tag" in output)
    if (missing >= 0) return `output ${missing} is a buffer, and was fetched to the host`
    return disagreement(graph, inputs, outputs as ReadonlyArray<Host>, tolerance) // none is a buffer
  })
