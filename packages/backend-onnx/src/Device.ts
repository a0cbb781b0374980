/** Where onnxruntime computes. */
export type Device = "cpu" | "cuda" | "webgpu"

export const devices: ReadonlyArray<Device> = ["cpu", "cuda", "webgpu"]

export const howToGetIt: Readonly<Record<Device, string>> = {
  cpu: "npm install onnxruntime-node, on Linux, macOS or Windows, x64 or arm64",
  cuda:
    "an NVIDIA GPU with CUDA 12 and cuDNN 9 on Linux x64; remove `onnxruntime-node-install=skip` from .npmrc and run " +
    "`npm rebuild onnxruntime-node`, which downloads the CUDA libraries",
  webgpu: "a GPU with a Vulkan (Linux), Metal (macOS) or D3D12 (Windows) driver; without one docs/software-vulkan.md"
}
