/** Where onnxruntime computes. */
export type Device = "cpu" | "cuda" | "webgpu"

export const devices: ReadonlyArray<Device> = ["cpu", "cuda", "webgpu"]

export const howToGetIt: Readonly<Record<Device, string>> = {
  cpu: "npm install onnxruntime-node, on Linux, macOS or Windows, x64 or arm64",
  cuda:
    "an NVIDIA GPU with CUDA 12 and cuDNN 9 on Linux x64, and onnxruntime's CUDA libraries: " +
    "ONNXRUNTIME_NODE_INSTALL=cuda12 node node_modules/onnxruntime-node/script/install.js " +
    "(never run on hardware so far; webgpu also uses NVIDIA GPUs, and keeps buffers there)",
  webgpu:
    "a GPU with a Vulkan (Linux x64), Metal (macOS) or D3D12 (Windows) driver; without a GPU: docs/software-vulkan.md"
}
