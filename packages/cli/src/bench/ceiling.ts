import { Backend, compile, draw, HostTensor } from "@foretoken/core"
import type { Tensor } from "@foretoken/core"
import * as Effect from "effect/Effect"

/** GFLOP/s of the backend's own product of two square matrices, once per repeat: what no program on it can pass. */
export const matmulRates = Effect.fnUntraced(function* (size: number, repeats: number) {
  const backend = yield* Backend
  const type = { dtype: "f32", shape: [size, size] } as const
  const random = (name: string) => HostTensor.f32(type.shape, draw.uniforms(0, ["ceiling", name], size * size))
  const product = ({ x, y }: { readonly x: Tensor; readonly y: Tensor }) => x.matmul(y)
  const { run } = yield* compile("ceiling", product, { x: type, y: type }, "resident")
  const x = yield* backend.upload(random("x"))
  const y = yield* backend.upload(random("y"))
  const once = Effect.gen(function* () {
    const began = performance.now()
    yield* Effect.scoped(run({ x, y }))
    return (2 * size ** 3) / (performance.now() - began) / 1e6
  })
  const rates = yield* Effect.replicateEffect(once, repeats + 1)
  return rates.slice(1)
}, Effect.scoped)
