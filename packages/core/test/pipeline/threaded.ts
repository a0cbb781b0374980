import { Effect, Layer } from "effect"
import { Backend } from "../../src/tensor/Backend.ts"
import { Reference } from "../../src/tensor/Reference.ts"
import { startThread } from "../../src/thread/startThread.ts"
import type { Options } from "../thread/brokenBackend.ts"

const module = new URL("../thread/brokenBackend.ts", import.meta.url).href

/** The reference, with threads; bits flip on the way to samplers only. */
export const threaded = ({ flipsOnce, ...others }: Options): Layer.Layer<Backend> =>
  Layer.effect(
    Backend,
    Effect.map(Backend, (reference) => ({
      ...reference,
      thread: (thread: Parameters<typeof reference.thread>[0]) => {
        const flips = flipsOnce !== undefined && thread.name.startsWith("sampler") ? { flipsOnce } : {}
        const limits = { resourceLimits: { maxOldGenerationSizeMb: 64 }, grace: 200 }
        return startThread({ module, options: { ...others, ...flips }, ...limits }, thread)
      }
    }))
  ).pipe(Layer.provide(Reference.layer))
