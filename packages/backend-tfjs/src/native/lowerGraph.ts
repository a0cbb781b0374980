import type { Graph } from "@foretoken/core"
import type { Library } from "./FunctionBuilder.ts"
import { argument, FunctionBuilder } from "./FunctionBuilder.ts"
import { lower } from "./lowering/table.ts"
import type { GraphDef, NodeDef } from "./savedModel.ts"
import { attribute } from "./savedModel.ts"

/** A graph for TensorFlow: one function, called once. Input i is fed as `input<i>:0`, output i fetched as `main:<i>`. */
export const lowerGraph = (graph: Graph): GraphDef => {
  const library: Library = { lower, functions: [], loops: 0 }
  const inputs = graph.inputs.map(({ type }) => type)
  const outputs = graph.outputs.map(({ type }) => type)
  const program = new FunctionBuilder(library)
  const results = program.inline(
    graph,
    inputs.map((_, i) => argument(i))
  )
  program.finish(
    "program",
    inputs,
    results.map((from, i) => ({ dtype: outputs[i].dtype, from }))
  )

  const fed = inputs.map(({ dtype, shape }, i): NodeDef => ({
    name: `input${i}`,
    op: "Placeholder",
    input: [],
    attr: { dtype: attribute.type(dtype), shape: attribute.shape(shape) }
  }))
  const attr = {
    f: attribute.function("program"),
    Tin: attribute.types(inputs.map(({ dtype }) => dtype)),
    Tout: attribute.types(outputs.map(({ dtype }) => dtype))
  }
  const call = { name: "main", op: "PartitionedCall", input: fed.map(({ name }) => name), attr }
  return { node: [...fed, call], library: { function: library.functions } }
}
