// 02: trace a function, print it, take its gradient, run it on a backend.   npx node examples/02-gradient-of-a-function.ts
import { compile, Graph, HostTensor, Reference, valueAndGrad } from "@foretoken/core"
import type { Tensor } from "@foretoken/core"
import { Console, Effect } from "effect"

interface Line {
  readonly params: { readonly slope: Tensor; readonly offset: Tensor }
  readonly x: Tensor
  readonly y: Tensor
}

/** Mean squared error of y = slope x + offset. Tensors are lazy: this computes nothing, it writes down a graph. */
const loss = ({ params, x, y }: Line): Tensor => x.mul(params.slope).add(params.offset).sub(y).square().mean()
const lossAndGradient = valueAndGrad(loss, "params")

const scalar = { dtype: "f32", shape: [] } as const
const points = { dtype: "f32", shape: [4] } as const
const types = { params: { slope: scalar, offset: scalar }, x: points, y: points }

const program = Effect.gen(function* () {
  yield* Console.log(Graph.print(Graph.trace(loss, types).graph))
  yield* Console.log(Graph.print(Graph.trace(lossAndGradient, types).graph))

  const { run } = yield* compile("line", lossAndGradient, types, "host")
  const params = { slope: HostTensor.f32([], [1]), offset: HostTensor.f32([], [0]) }
  const { loss: value, gradients } = yield* run({
    params,
    x: HostTensor.f32([4], [0, 1, 2, 3]),
    y: HostTensor.f32([4], [1, 3, 5, 7])
  })
  yield* Console.log("loss", value, "d/dslope", gradients.slope, "d/doffset", gradients.offset)
})

await Effect.runPromise(Effect.scoped(Effect.provide(program, Reference.layer)))
