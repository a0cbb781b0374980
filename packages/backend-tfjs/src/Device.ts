import { existsSync } from "node:fs"
import { createRequire } from "node:module"
import * as path from "node:path"
import util from "node:util"
import * as tf from "@tensorflow/tfjs-core"
import { guardMemory } from "./wasm/guardMemory.ts"

/** A way to run TensorFlow.js, loaded and ready. */
export interface Device {
  readonly kind: "tensorflow" | "wasm"
  /** "tfjs:tensorflow", "tfjs:tensorflow-gpu", "tfjs:wasm"; ":bf16" behind it where products are of that precision */
  readonly name: string
  /** What it runs on, in words. */
  readonly detail: string
}

/**
 * At which precision f32 matrices are multiplied natively. "bf16" lets oneDNN round their elements to bfloat16 on processors
 * that multiply those faster (Intel's AMX; elsewhere it changes nothing). One process has one of the two.
 */
export type FpMath = "f32" | "bf16"

/** A device that cannot be had: what is wrong, and what would put it right. */
export class DeviceMissing extends Error {
  readonly howToGetIt: string
  constructor(reason: string, howToGetIt: string) {
    super(reason)
    this.howToGetIt = howToGetIt
  }
}

/**
 * Runs `f` on a device. TensorFlow.js has one current backend per process; programs of several devices take turns, and
 * nothing inside `f` may wait.
 */
export const using = <A>(device: Device, f: () => A): A => {
  const engine = tf.engine()
  if (engine.backendName !== device.kind) {
    // The devices are initialised, so this has its effect before it returns its promise.
    void engine.setBackend(device.kind)
  }
  return f()
}

const require = createRequire(import.meta.url)

/** libtensorflow through tfjs-node-gpu or else tfjs-node, whichever has a binding that loads. */
export const loadTensorflow = async (fpmath: FpMath): Promise<Device> => {
  const installed = ["@tensorflow/tfjs-node-gpu", "@tensorflow/tfjs-node"].filter(
    (name) => folderOf(name) !== undefined
  )
  const built = installed.filter(hasBinding)
  prepare(fpmath)
  restoreUtilities()
  const problems: Array<string> = []
  for (const name of built) {
    try {
      // The name stays a variable so that the types compile where the optional package is absent.
      await import(name)
      loaded = fpmath
      warm()
      return tensorflowDevice(name, fpmath)
    } catch (error) {
      problems.push(`${name} does not load: ${error instanceof Error ? error.message : String(error)}`)
      // A package registers its kernels before it looks for its binding.
      for (const { kernelName } of tf.getKernelsForBackend("tensorflow")) tf.unregisterKernel(kernelName, "tensorflow")
    }
  }
  const unbuilt =
    installed.length === 0
      ? "neither @tensorflow/tfjs-node nor -gpu is installed"
      : `no native binding in ${installed.join(" or ")}`
  throw new DeviceMissing(
    problems.length > 0 ? problems.join("; ") : unbuilt,
    "packages/backend-tfjs/scripts/build-native.sh builds the binding, see docs/native-tfjs.md"
  )
}

/** What libtensorflow reads from the environment when it is loaded, and never again. */
const prepare = (fpmath: FpMath): void => {
  if (loaded !== "not yet" && loaded !== fpmath) {
    throw new DeviceMissing(
      `libtensorflow runs with fpmath ${loaded} in this process`,
      `take fpmath ${fpmath} in a process of its own`
    )
  }
  // It would greet on stderr; one line about oneDNN it writes all the same.
  process.env["TF_CPP_MIN_LOG_LEVEL"] ??= "2"
  if (fpmath === "bf16") process.env["TF_SET_ONEDNN_FPMATH_MODE"] = "BF16"
}

let loaded: FpMath | "not yet" = "not yet"

/**
 * The addon keeps the names of operations' attributes in one set for all threads and does not guard it: they are all in
 * there once a tensor has been made and reshaped, which is what this backend does beside running sessions.
 */
const warm = (): void => {
  void tf.engine().setBackend("tensorflow")
  tf.tidy(() => tf.reshape(tf.tensor1d([1]), [1, 1]).dataSync())
}

const tensorflowDevice = (name: string, fpmath: FpMath): Device => {
  // Only tfjs-node's backend has the flag.
  const { isUsingGpuDevice = false } = tf.findBackend("tensorflow") as { readonly isUsingGpuDevice?: boolean }
  return {
    kind: "tensorflow",
    name: `tfjs:tensorflow${isUsingGpuDevice ? "-gpu" : ""}${fpmath === "bf16" ? ":bf16" : ""}`,
    detail:
      `libtensorflow through ${name}, on the ${isUsingGpuDevice ? "GPU" : "CPU"}` +
      (fpmath === "bf16" ? ", matrices multiplied at bfloat16 precision where that is faster" : "")
  }
}

/** tfjs-node 4.22 calls `isNullOrUndefined`, which Node 23 removed, and `isArray`, which it warns of. */
const restoreUtilities = (): void => {
  const utilities = util as { isNullOrUndefined?: (value: unknown) => boolean; isArray?: (value: unknown) => boolean } // its types have dropped them
  utilities.isNullOrUndefined ??= (value) => value === null || value === undefined
  utilities.isArray = Array.isArray
}

const folderOf = (name: string): string | undefined => {
  try {
    return path.dirname(require.resolve(`${name}/package.json`))
  } catch {
    return undefined
  }
}

const hasBinding = (name: string): boolean =>
  Array.from({ length: 20 }, (_, n) => path.join(folderOf(name) ?? "", "lib", `napi-v${n}`, "tfjs_binding.node")).some(
    existsSync
  )

/** WebAssembly, which comes with the package and runs anywhere. */
export const loadWasm = (): Promise<Device> => (wasm ??= initialiseWasm())

/** There is one WebAssembly module a process; all who ask wait for the same. */
let wasm: Promise<Device> | undefined

const initialiseWasm = async (): Promise<Device> => {
  const { BackendWasm } = await import("@tensorflow/tfjs-backend-wasm")
  if (!(tf.engine().registry["wasm"] instanceof BackendWasm)) {
    const factory = tf.findBackendFactory("wasm")
    const backend = await factory()
    if (backend instanceof BackendWasm) guardMemory(backend.wasm)
    // Registered again as what it is by now, a backend and no promise of one: setting it takes effect at once.
    tf.removeBackend("wasm")
    tf.registerBackend("wasm", () => backend)
    tf.engine().registry["wasm"] = backend
  }
  const simd = await tf.env().getAsync("WASM_HAS_SIMD_SUPPORT")
  return { kind: "wasm", name: "tfjs:wasm", detail: `WebAssembly, one thread, SIMD ${simd === true ? "on" : "off"}` }
}
