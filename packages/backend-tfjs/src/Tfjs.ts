import { Backend, BackendError, startThread } from "@foretoken/core"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as tf from "@tensorflow/tfjs-core"
import type { Device, FpMath } from "./Device.ts"
import { DeviceMissing, loadTensorflow, loadWasm, using } from "./Device.ts"
import { make, reasonOf } from "./TfjsBackend.ts"

/** "auto" takes tfjs-node-gpu, else tfjs-node, else WebAssembly. */
export type TfjsDevice = "tensorflow" | "wasm" | "auto"

/** What `foretoken backends` says of a device. */
export type Probe =
  | { readonly device: string; readonly status: "works"; readonly detail: string }
  | { readonly device: string; readonly status: "missing"; readonly detail: string; readonly howToGetIt: string }

const load = (device: "tensorflow" | "wasm", fpmath: FpMath = "f32"): Effect.Effect<Device, DeviceMissing> =>
  Effect.tryPromise({
    try: () => (device === "wasm" ? loadWasm() : loadTensorflow(fpmath)),
    catch: (error) =>
      error instanceof DeviceMissing
        ? error
        : new DeviceMissing(
            `does not load: ${reasonOf(error)}`,
            "reinstall the packages (npm ci); docs/native-tfjs.md tells how the native binding is built"
          )
  })

const choose = ({ device, fpmath }: TfjsOptions): Effect.Effect<Device, DeviceMissing> =>
  device === "tensorflow" || device === "wasm"
    ? load(device, fpmath)
    : Effect.catch(load("tensorflow", fpmath), () => load("wasm"))

export interface TfjsOptions {
  /** "auto" unless given. */
  readonly device?: TfjsDevice
  /** Of the native device; "f32" unless given. */
  readonly fpmath?: FpMath
}

/**
 * The backend on TensorFlow.js. Its name says which one runs: "tfjs:tensorflow", "tfjs:tensorflow-gpu", "tfjs:wasm".
 * Fails with a BackendError where the device asked for is missing. A run occupies its thread until it is done.
 */
const layer = (options: TfjsOptions = {}): Layer.Layer<Backend, BackendError> =>
  Layer.effect(Backend, makeBackend(options))

/**
 * The service alone: what a thread of its own loads (see `startThread`).
 * @public
 */
export const makeBackend = (
  options: TfjsOptions
): Effect.Effect<(typeof Backend)["Service"], BackendError, Scope.Scope> =>
  choose(options).pipe(
    Effect.flatMap((device) =>
      make(device, (thread) =>
        startThread({ module: import.meta.url, options: { ...options, device: device.kind } }, thread)
      )
    ),
    Effect.mapError(
      ({ message, howToGetIt }) =>
        new BackendError({ backend: `tfjs:${options.device ?? "auto"}`, reason: `${message}; ${howToGetIt}` })
    )
  )

const multiplies = (device: Device): Effect.Effect<Device, DeviceMissing> =>
  Effect.try({
    try: () => {
      const product = using(device, () => tf.tidy(() => tf.matMul(tf.ones([2, 3]), tf.ones([3, 2])).dataSync()))
      if (!product.every((value) => value === 3)) throw new Error(`multiplies wrongly: ${product.join(" ")}`)
      return device
    },
    catch: (error) => new DeviceMissing(`loads, but ${reasonOf(error)}`, "report it, with the versions in use")
  })

/** Tries every device, by loading it and having it multiply. */
const probe = (): Effect.Effect<ReadonlyArray<Probe>> =>
  Effect.forEach(["tensorflow", "wasm"] as const, (device) =>
    load(device).pipe(
      Effect.flatMap(multiplies),
      Effect.match({
        onSuccess: ({ name, detail }): Probe => ({ device: name, status: "works", detail }),
        onFailure: ({ message, howToGetIt }): Probe => ({
          device: `tfjs:${device}`,
          status: "missing",
          detail: message,
          howToGetIt
        })
      })
    )
  )

export const Tfjs = { layer, probe }
