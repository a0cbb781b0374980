import * as ort from "onnxruntime-node"
import { devices } from "./Device.ts"
import { dataType, encodeModel } from "./onnxProto.ts"

/**
 * A process of its own that runs 1 + 1 on the device its argument names, and nowhere else: a driver that is not there,
 * or not good enough, may abort the process. Says "works" on stdout once the sum is right and "keeps" once another session
 * has read it where it lay, or else why not: on stderr the drivers talk.
 */
const vector = { tensorType: { elemType: dataType.f32, shape: { dim: [{ dimValue: 2 }] } } }

const onePlusOne = encodeModel({
  irVersion: 10,
  producerName: "foretoken",
  opsetImport: [{ domain: "", version: 21 }],
  graph: {
    name: "probe",
    initializer: [],
    node: [{ opType: "Add", domain: "", name: "add", input: ["x", "x"], output: ["y"], attribute: [] }],
    input: [{ name: "x", type: vector }],
    output: [{ name: "y", type: vector }]
  }
})

const device = devices.find((device) => device === process.argv[2]) ?? "cpu"
const session = (location: "cpu" | "gpu-buffer") =>
  ort.InferenceSession.create(onePlusOne, {
    executionProviders: [device],
    logSeverityLevel: 4,
    preferredOutputLocation: location,
    ...(device === "cpu" ? {} : { extra: { session: { disable_cpu_ep_fallback: "1" } } })
  })
const x = () => new ort.Tensor("float32", Float32Array.of(1, 1), [2])

/** Whether an output left on the device can be read there by another session. */
const staysOnDevice = async (second: ort.InferenceSession): Promise<boolean> => {
  if (device === "cpu") return false
  try {
    const { y } = await (await session("gpu-buffer")).run({ x: x() })
    if (y.location !== "gpu-buffer") return false
    return (await second.run({ x: y })).y.data[0] === 4
  } catch {
    return false
  }
}

try {
  ort.env.logLevel = "fatal"
  const onHost = await session("cpu")
  const { y } = await onHost.run({ x: x() })
  if (y.data[0] !== 2) throw new Error(`1 + 1 came out as ${String(y.data[0])}`)
  process.stdout.write("works\n")
  if (await staysOnDevice(onHost)) process.stdout.write("keeps\n")
} catch (error) {
  process.stdout.write(error instanceof Error ? error.message : String(error))
  process.exitCode = 1
}
