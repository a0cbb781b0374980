import * as Metric from "effect/Metric"

/**
 * Bytes that crossed between the host and a device that keeps its buffers to itself: batches and scalars on the way in,
 * what a run fetches to the host on the way out. Weights cross when they are uploaded and when they are read.
 */
export const transfers = {
  toDevice: Metric.counter("onnx/bytes_to_device", { description: "bytes copied into device memory" }),
  toHost: Metric.counter("onnx/bytes_to_host", { description: "bytes copied out of device memory" })
}
