import { Effect } from "effect"
import type { Scope } from "effect"
import type { Backend, CompileError, ExecutionError, Fetch, Program } from "../tensor/Backend.ts"
import { BackendError } from "../tensor/Backend.ts"
import type { Buffer } from "../tensor/Backend.ts"
import { record } from "../tensor/Graph.ts"
import { HostTensor } from "../tensor/HostTensor.ts"
import { makeProgramCache } from "../tensor/ProgramCache.ts"
import { showType } from "../tensor/Shape.ts"
import type { Tensor } from "../tensor/Tensor.ts"
import { decays } from "./adamw.ts"
import { muonRate } from "./muon.ts"
import type { Routine } from "./Routine.ts"
import { buffersOf, problemOf } from "./Routine.ts"

type Service = (typeof Backend)["Service"]
type Tensors = ReadonlyArray<Tensor>

/** A routine as it is traced: tensors in the order of `buffersOf`, numbers as scalars that are fed to every run. */
interface Written {
  readonly numbers: ReadonlyArray<number>
  /** What else the trace depends on, beside the types of the buffers. */
  readonly key: string
  /** New values for each list that is changed, and the scalars that the routine finds. */
  readonly write: (
    lists: ReadonlyArray<Tensors>,
    numbers: Tensors
  ) => { readonly changed: ReadonlyArray<Tensors>; readonly found: Tensors }
}

/**
 * Routines as graph programs over donated buffers: for backends whose buffers are a device's. In f32, so close to
 * `applyOnHost` and not equal to it. Programs are compiled once for each list of types and live as long as the scope.
 */
export const routinesAsPrograms = ({
  name,
  compile
}: Pick<Service, "name" | "compile">): Effect.Effect<Service["apply"], never, Scope.Scope> =>
  Effect.map(makeProgramCache, (programs) => {
    const failed = (reason: string) => new BackendError({ backend: name, reason })
    return Effect.fnUntraced(
      function* (routine: Routine) {
        const problem = problemOf(routine)
        if (problem !== undefined) return yield* failed(problem)
        const { changed, read } = buffersOf(routine)
        const lists = [...changed, ...read]
        if (lists[0].length === 0) return routine._tag === "norm" ? [0] : []
        const written = writtenAs(routine)
        const key = [routine._tag, written.key, ...lists[0].map(({ type }) => showType(type))].join(" ")
        const program = yield* programs.get(key, compiled(compile, routine._tag, written, lists, changed.length))
        const outputs = yield* program.run([...lists.flat(), ...written.numbers.map((x) => HostTensor.f32([], [x]))])
        return outputs.slice(changed.flat().length).map((value) => ("data" in value ? value.data[0] : NaN)) // fetched to the host
      },
      (effect) => Effect.scoped(effect).pipe(Effect.mapError(asBackendError(failed)))
    )
  })

const asBackendError =
  (failed: (reason: string) => BackendError) =>
  (error: BackendError | CompileError | ExecutionError): BackendError =>
    error._tag === "BackendError" ? error : failed(error.reason)

const compiled = (
  compile: Service["compile"],
  name: string,
  { numbers, write }: Written,
  lists: ReadonlyArray<ReadonlyArray<Buffer>>,
  changed: number
): Effect.Effect<Program, CompileError, Scope.Scope> =>
  Effect.suspend(() => {
    const scalars = numbers.map(() => ({ dtype: "f32", shape: [] }) as const)
    let found = 0
    const { graph } = record(
      (inputs) => {
        // `record` hands over the tree that it was given: lists of tensors.
        const all = inputs as ReadonlyArray<Tensors>
        const made = write(all.slice(0, -1), all[all.length - 1])
        found = made.found.length
        return [...made.changed, made.found]
      },
      [...lists.map((list) => list.map(({ type }) => type)), scalars]
    )
    const donated = lists
      .slice(0, changed)
      .flat()
      .map((_, i): Fetch => ({ donate: i }))
    return compile(graph, { name, fetch: [...donated, ...Array.from({ length: found }, (): Fetch => "host")] })
  })

const writtenAs = (routine: Routine): Written => {
  switch (routine._tag) {
    case "add":
      return {
        key: "",
        numbers: [],
        write: ([totals, parts]) => ({ changed: [totals.map((total, i) => total.add(parts[i]))], found: [] })
      }
    case "norm":
      return {
        key: "",
        numbers: [],
        write: ([gradients]) => {
          const squares = gradients.map((gradient) => gradient.square().sum())
          return { changed: [], found: [squares.reduce((sum, part) => sum.add(part)).sqrt()] }
        }
      }
    case "adamw": {
      const { learningRate, beta1, beta2, eps, weightDecay } = routine.settings
      const rate = learningRate / (1 - beta1 ** routine.step)
      const correction = 1 / (1 - beta2 ** routine.step)
      return {
        key: "",
        numbers: [
          beta1,
          1 - beta1,
          beta2,
          1 - beta2,
          rate,
          correction,
          eps,
          1 - learningRate * weightDecay,
          routine.scale
        ],
        write: ([weights, m, v, gradients], [b1, rest1, b2, rest2, rate, correction, eps, keep, scale]) => {
          const scaled = gradients.map((gradient) => gradient.mul(scale))
          const first = m.map((moment, i) => moment.mul(b1).add(scaled[i].mul(rest1)))
          const second = v.map((moment, i) => moment.mul(b2).add(scaled[i].square().mul(rest2)))
          const moved = weights.map((weight, i) => {
            const kept = decays(weight.shape) ? weight.mul(keep) : weight
            return kept.sub(first[i].mul(rate).div(second[i].mul(correction).sqrt().add(eps)))
          })
          return { changed: [moved, first, second], found: [] }
        }
      }
    }
    case "muonDirection": {
      const { momentum: beta, nesterov } = routine.settings
      return {
        key: nesterov ? "nesterov" : "",
        numbers: [beta, 1 - beta, routine.scale],
        write: ([gradients, momentum], [beta, rest, scale]) => {
          const parts = gradients.map((gradient) => gradient.mul(scale).mul(rest))
          const moved = momentum.map((moment, i) => moment.mul(beta).add(parts[i]))
          const directions = nesterov ? moved.map((moment, i) => parts[i].add(moment.mul(beta))) : moved
          return { changed: [directions, moved], found: [] }
        }
      }
    }
    case "muonApply": {
      const { learningRate, weightDecay } = routine.settings
      return {
        key: "",
        numbers: [learningRate, 1 - learningRate * weightDecay],
        write: ([weights, directions], [rate, keep]) => {
          const moved = weights.map((weight, i) => {
            const [rows, columns] = weight.shape
            return weight.mul(keep).sub(directions[i].mul(rate.mul(muonRate(rows, columns))))
          })
          return { changed: [moved], found: [] }
        }
      }
    }
  }
}
