import type { AnyNode, Graph, HostTensor, Tensor } from "@foretoken/core"
import { expand, HostTensor as Host, sizeOf } from "@foretoken/core"
import * as tf from "@tensorflow/tfjs-core"
import type { Lowered } from "../Lowered.ts"
import type { Kernel, Target } from "./lowering/Lowering.ts"
import { lower, native } from "./lowering/table.ts"
import { alias, fromHost } from "../tensors.ts"

/** One kernel, the slots it reads and writes, and those that nobody reads after it. */
interface Step {
  readonly kernel: Kernel
  readonly reads: ReadonlyArray<number>
  readonly writes: ReadonlyArray<number>
  readonly frees: ReadonlyArray<number>
}

/** A graph as a list of steps over numbered slots. */
interface Plan {
  readonly inputs: ReadonlyArray<number>
  readonly constants: ReadonlyMap<number, tf.Tensor>
  readonly steps: ReadonlyArray<Step>
  readonly outputs: ReadonlyArray<{ readonly slot: number; readonly shared: boolean }>
}

/** A graph as a plan that the host walks, kernel by kernel. */
export const lowerGraph = (graph: Graph): Lowered => {
  const kept: Array<tf.Tensor> = []
  const target: Target = {
    keep: (value) => {
      const tensor = tf.keep(fromHost(value))
      kept.push(tensor)
      return tensor
    },
    body: (body) => {
      const plan = makePlan(body, target)
      return (inputs) => execute(plan, inputs)
    }
  }
  const dispose = () => tf.dispose(kept)
  try {
    return { run: target.body(expand(graph, native)), dispose }
  } catch (error) {
    dispose()
    throw error
  }
}

const makePlan = (graph: Graph, target: Target): Plan => {
  const slots = new Map<AnyNode, ReadonlyArray<number>>()
  const constants = new Map<number, tf.Tensor>()
  let count = 0
  const slotOf = ({ node, index }: Tensor): number => slots.get(node)![index] // graphs list a node after its inputs
  const give = (node: AnyNode): ReadonlyArray<number> => {
    const given = node.types.map(() => count++)
    slots.set(node, given)
    return given
  }
  const inputs = graph.inputs.map(({ node }) => give(node)[0])
  const steps: Array<Omit<Step, "frees">> = []
  for (const node of graph.nodes) {
    if (node.op === "stopGradient") slots.set(node, node.inputs.map(slotOf))
    else if (node.op === "constant") constants.set(give(node)[0], target.keep(node.params.value))
    else if (node.op === "iota") constants.set(give(node)[0], target.keep(counting(node.params)))
    else steps.push({ kernel: lower(node, target), reads: node.inputs.map(slotOf), writes: give(node) })
  }
  const results = graph.outputs.map(slotOf)
  const borrowed = new Set([...inputs, ...constants.keys()])
  return {
    inputs,
    constants,
    steps: withFrees(steps, new Set([...borrowed, ...results])),
    outputs: results.map((slot, i) => ({ slot, shared: borrowed.has(slot) || results.indexOf(slot) < i }))
  }
}

/** Each slot but the lasting ones is freed by the step that reads it last, or that writes it for nobody. */
const withFrees = (steps: ReadonlyArray<Omit<Step, "frees">>, lasting: ReadonlySet<number>): ReadonlyArray<Step> => {
  const last = new Map<number, number>()
  steps.forEach(({ reads, writes }, i) => [...writes, ...reads].forEach((slot) => last.set(slot, i)))
  const frees = steps.map((): Array<number> => [])
  for (const [slot, i] of last) if (!lasting.has(slot)) frees[i].push(slot)
  return steps.map((step, i) => ({ ...step, frees: frees[i] }))
}

const execute = (plan: Plan, inputs: ReadonlyArray<tf.Tensor>): ReadonlyArray<tf.Tensor> =>
  tf.tidy(() => {
    const values = new Map<number, tf.Tensor>(plan.constants)
    plan.inputs.forEach((slot, i) => values.set(slot, inputs[i]))
    const at = (slot: number): tf.Tensor => values.get(slot)! // a plan writes a slot before it is read
    for (const { kernel, reads, writes, frees } of plan.steps) {
      const outputs = tf.tidy(() => [...kernel(reads.map(at))])
      writes.forEach((slot, i) => values.set(slot, outputs[i]))
      for (const slot of frees) at(slot).dispose()
    }
    return plan.outputs.map(({ slot, shared }) => (shared ? alias(at(slot)) : at(slot)))
  })

/** 0, 1, 2, … along one axis */
const counting = ({ shape, axis }: { readonly shape: ReadonlyArray<number>; readonly axis: number }): HostTensor => {
  const inner = sizeOf(shape.slice(axis + 1))
  return Host.i32(
    shape,
    Int32Array.from({ length: sizeOf(shape) }, (_, i) => Math.floor(i / inner) % shape[axis])
  )
}
