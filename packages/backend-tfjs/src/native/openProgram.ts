import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import * as path from "node:path"
import type { Graph } from "@foretoken/core"
import { expand } from "@foretoken/core"
import * as tf from "@tensorflow/tfjs-core"
import type { Lowered } from "../Lowered.ts"
import { lowerGraph } from "./lowerGraph.ts"
import { native } from "./lowering/table.ts"
import { encodeSavedModel, TAG } from "./savedModel.ts"

/** Of tfjs-node's backend, whose types are there only where the package is: what runs saved models. */
interface Sessions {
  readonly loadSavedModelMetaGraph: (path: string, tags: string) => number
  readonly runSavedModel: (
    id: number,
    inputs: ReadonlyArray<tf.Tensor>,
    infos: ReadonlyArray<{ readonly name: string }>,
    outputs: ReadonlyArray<string>
  ) => ReadonlyArray<tf.Tensor>
  readonly deleteSavedModel: (id: number) => void
}

const sessions = (): Sessions => tf.findBackend("tensorflow") as unknown as Sessions // the device that called is tfjs-node

/**
 * A graph as one TensorFlow session: a run is a single call, and between its inputs and outputs nothing comes to the host.
 */
export const openProgram = (graph: Graph): Lowered => {
  if (graph.outputs.length === 0) return { run: () => [], dispose: () => undefined }
  const id = openSession(encodeSavedModel(lowerGraph(expand(graph, native))))
  const inputs = graph.inputs.map((_, i) => ({ name: `input${i}:0` }))
  const outputs = graph.outputs.map((_, i) => `main:${i}`)
  return {
    run: (given) => sessions().runSavedModel(id, given, inputs, outputs),
    dispose: () => sessions().deleteSavedModel(id)
  }
}

/** tfjs-node reads models from disk only. */
const openSession = (model: Uint8Array): number => {
  const folder = mkdtempSync(path.join(tmpdir(), "foretoken-tfjs-"))
  try {
    writeFileSync(path.join(folder, "saved_model.pb"), model)
    return sessions().loadSavedModelMetaGraph(folder, TAG)
  } finally {
    rmSync(folder, { recursive: true })
  }
}
