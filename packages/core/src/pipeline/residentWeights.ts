import { Effect, Scope } from "effect"
import type { KeptWeights } from "../model/weights.ts"
import type { PolicyVersion } from "../rl/Rollout.ts"
import type { Buffer } from "../tensor/Backend.ts"
import { Backend } from "../tensor/Backend.ts"
import type { HostTensor } from "../tensor/HostTensor.ts"

/**
 * Weights on the backend for as long as the scope, overwritten when another version is wanted. Of two versions only what
 * differs moves: weights that training leaves alone are the same values, in the same memory, in all of them.
 */
export const makeResident = Effect.gen(function* () {
  const backend = yield* Backend
  const scope = yield* Effect.scope
  const buffers: Record<string, Buffer> = {}
  const values = new Map<string, HostTensor>()
  let held: PolicyVersion | KeptWeights | undefined

  /** `version` tells them from others: that of a policy, or the weights themselves where they have none. */
  const hold = Effect.fnUntraced(function* (version: PolicyVersion | KeptWeights, weights: KeptWeights) {
    if (held === version) return buffers
    held = undefined
    const one = Effect.fnUntraced(function* ([name, value]: [string, HostTensor]) {
      if (values.get(name) === value) return
      values.delete(name)
      if (buffers[name]?.type.dtype === value.dtype) yield* backend.write(buffers[name], value)
      else buffers[name] = yield* Scope.provide(backend.upload(value), scope)
      values.set(name, value)
    })
    // While one is taken in on the other side, the next is made ready here.
    yield* Effect.forEach(Object.entries(weights), one, { concurrency: 2, discard: true })
    held = version
    return buffers
  })
  return { weights: buffers as Readonly<Record<string, Buffer>>, hold }
})
