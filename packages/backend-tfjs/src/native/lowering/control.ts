import type { TensorType } from "@foretoken/core"
import type { Lowering } from "../FunctionBuilder.ts"
import { argument, FunctionBuilder, nth } from "../FunctionBuilder.ts"
import { attribute } from "../savedModel.ts"

const i32 = attribute.type("i32")

/**
 * TensorFlow's While over (step, goes on, …carried, …fixed): it runs where the values are, and asks the host nothing.
 */
const loop: Lowering<"loop"> = ({ params: { body, carried, maxSteps }, inputs: tensors }, inputs, f) => {
  const { library } = f
  const counters: ReadonlyArray<TensorType> = [
    { dtype: "i32", shape: [] },
    { dtype: "bool", shape: [] }
  ]
  const types = [...counters, ...tensors.map(({ type }) => type)]
  const name = `loop${library.loops++}`

  const inner = new FunctionBuilder(library)
  const values = tensors.map((_, i) => argument(i + 2))
  const [goesOn, ...next] = inner.inline(body, [argument(0), ...values])
  const step = inner.add("AddV2", [argument(0), inner.scalar("i32", 1)], { T: i32 }, "z")
  const results = [step, goesOn, ...next, ...values.slice(carried)]
  inner.finish(
    `${name}_body`,
    types,
    results.map((from, i) => ({ dtype: types[i].dtype, from }))
  )

  const test = new FunctionBuilder(library)
  const more = test.add("Less", [argument(0), test.scalar("i32", maxSteps)], { T: i32 }, "z")
  test.finish(`${name}_condition`, types, [
    { dtype: "bool", from: test.add("LogicalAnd", [more, argument(1)], {}, "z") }
  ])

  const first = f.add("StatelessWhile", [f.scalar("i32", 0), f.scalar("bool", 1), ...inputs], {
    T: attribute.types(types.map(({ dtype }) => dtype)),
    body: attribute.function(`${name}_body`),
    cond: attribute.function(`${name}_condition`),
    output_shapes: attribute.shapes(types.map(({ shape }) => shape)),
    parallel_iterations: attribute.int(1),
    // Spares a call a step, and the caches that go round are changed in place.
    _lower_using_switch_merge: attribute.bool(true)
  })
  return Array.from({ length: carried }, (_, i) => nth(first, i + 2))
}

export const control = { loop }
