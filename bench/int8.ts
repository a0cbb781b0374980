/**
 * Would rollouts in int8 pay? Times the products of decoding in both precisions, and measures how far log-probabilities move
 * when nothing but the weights is rounded to int8, one scale an output channel.
 *
 *     npx node -C @foretoken/source bench/int8.ts [MODEL [TEXT]]
 */
import { readFileSync } from "node:fs"
import { Onnx } from "@foretoken/backend-onnx"
import { HostTensor, loadModel, makeProgramCache, makeScorer, Tokenizer } from "@foretoken/core"
import type { Weights } from "@foretoken/core"
import { Effect } from "effect"
import * as ort from "onnxruntime-node"
import { dataType, encodeModel } from "../packages/backend-onnx/src/onnxProto.ts"

const [model, text] = process.argv.slice(2)
const rows = 64

const say = (line: string) => process.stdout.write(`${line}\n`)

interface Quantised {
  /** [K,N] */
  readonly values: Int8Array
  /** [N] */
  readonly scales: Float32Array
}

/** Columns of weights [K,N], each rounded to 255 steps around 0. */
const quantise = (weights: Float32Array, columns: number): Quantised => {
  const scales = new Float32Array(columns)
  weights.forEach((w, i) => (scales[i % columns] = Math.max(scales[i % columns], Math.abs(w) / 127)))
  return { values: Int8Array.from(weights, (w, i) => Math.round(w / (scales[i % columns] || 1))), scales }
}

/** Milliseconds of one node's run, the median of 40. */
const timed = async (opType: string, domain: string, inputs: Readonly<Record<string, ort.Tensor>>) => {
  const int8 = 3
  const typed = (name: string, { type, dims }: ort.Tensor) => {
    const shape = { dim: dims.map((dimValue) => ({ dimValue })) }
    return { name, type: { tensorType: { elemType: type === "int8" ? int8 : dataType.f32, shape } } }
  }
  const node = { opType, domain, name: opType, input: Object.keys(inputs), output: ["y"], attribute: [] }
  const matrix = { dim: [rows, inputs["w"].dims[1]].map((dimValue) => ({ dimValue })) }
  const model = encodeModel({
    irVersion: 10,
    producerName: "foretoken",
    opsetImport: ["", "com.microsoft"].map((name) => ({ domain: name, version: name === "" ? 21 : 1 })),
    graph: {
      name: "product",
      node: [node],
      initializer: [],
      input: Object.entries(inputs).map(([name, tensor]) => typed(name, tensor)),
      output: [{ name: "y", type: { tensorType: { elemType: dataType.f32, shape: matrix } } }]
    }
  })
  const program = await ort.InferenceSession.create(model, { intraOpNumThreads: 2 })
  const times: Array<number> = []
  for (let run = 0; run < 40; run++) {
    const start = performance.now()
    await program.run(inputs)
    times.push(performance.now() - start)
  }
  await program.release()
  return times.toSorted((a, b) => a - b)[20]
}

for (const [k, n] of [
  [288, 288],
  [288, 768],
  [768, 288],
  [288, 32000]
]) {
  const weights = Float32Array.from({ length: k * n }, () => Math.random() - 0.5)
  const { values, scales } = quantise(weights, n)
  const x = new ort.Tensor("float32", new Float32Array(rows * k).fill(0.5), [rows, k])
  const single = await timed("MatMul", "", { x, w: new ort.Tensor("float32", weights, [k, n]) })
  const eighth = await timed("DynamicQuantizeMatMul", "com.microsoft", {
    x,
    w: new ort.Tensor("int8", values, [k, n]),
    scales: new ort.Tensor("float32", scales, [n]),
    zeros: new ort.Tensor("int8", new Int8Array(n), [n])
  })
  say(`[${rows},${k}] x [${k},${n}]: fp32 ${single.toFixed(2)} ms, int8 ${(single / eighth).toFixed(1)}x as fast`)
}

/** A weight matrix [N,K] as it is read back from int8, one scale a row. */
const rounded = ({ shape, data }: Weights[string]) => {
  const [n, k] = shape
  const out = Float32Array.from(data)
  for (let row = 0; row < n; row++) {
    const own = out.subarray(row * k, (row + 1) * k)
    const scale = own.reduce((largest, w) => Math.max(largest, Math.abs(w)), 0) / 127 || 1
    own.forEach((w, i) => (own[i] = Math.round(w / scale) * scale))
  }
  return HostTensor.f32(shape, out)
}

const gaps = Effect.gen(function* () {
  const { config, weights } = yield* loadModel(model)
  const ids = (yield* Tokenizer.load(model)).encode(readFileSync(text, "utf8").slice(0, 4000)).slice(0, 256)
  const scorer = yield* makeScorer(config, yield* makeProgramCache)
  const rowsOf = { documents: 1, length: ids.length, tokens: ids }
  const exact = yield* scorer.score(weights, rowsOf)
  const coarse = Object.fromEntries(
    Object.entries(weights).map(([name, tensor]) => [name, tensor.shape.length === 2 ? rounded(tensor) : tensor])
  )
  const other = yield* scorer.score(coarse, rowsOf)
  return exact.logprobs
    .slice(0, -1)
    .map((logprob, i) => Math.abs(logprob - other.logprobs[i]))
    .toSorted()
})

if (model !== undefined && text !== undefined) {
  const all = await Effect.runPromise(Effect.scoped(gaps).pipe(Effect.provide(Onnx.layer({ device: "cpu" }))))
  const at = (share: number) => all[Math.floor(share * (all.length - 1))].toExponential(1)
  say(`log-probabilities move by ${at(0.5)} (median), ${at(0.99)} (p99), ${at(1)} (max) of ${all.length} tokens`)
}
