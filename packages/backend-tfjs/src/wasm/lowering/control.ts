import * as tf from "@tensorflow/tfjs-core"
import { alias } from "../../tensors.ts"
import type { Lowering } from "./Lowering.ts"

/** The host runs the body step by step and asks it after each whether to go on. */
const loop: Lowering<"loop"> = ({ params: { body, carried, maxSteps } }, target) => {
  const runBody = target.body(body)
  return (inputs) => {
    const invariants = inputs.slice(carried)
    let state: ReadonlyArray<tf.Tensor> = inputs.slice(0, carried).map(alias)
    let goesOn = true
    for (let step = 0; goesOn && step < maxSteps; step++) {
      const [condition, ...next] = tf.tidy(() => [...runBody([tf.scalar(step, "int32"), ...state, ...invariants])])
      goesOn = condition.dataSync()[0] !== 0
      tf.dispose([condition, ...state])
      state = next
    }
    return state
  }
}

export const control = { loop }
