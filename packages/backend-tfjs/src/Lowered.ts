import type { Tensor } from "@tensorflow/tfjs-core"

/** A lowered graph: inputs to outputs, each output a tensor of the caller's own. `dispose` frees what it holds. */
export interface Lowered {
  readonly run: (inputs: ReadonlyArray<Tensor>) => ReadonlyArray<Tensor>
  readonly dispose: () => void
}
