"""Writes golden.json: blocks of every type that Foretoken reads, and the values that the gguf package makes of them; and
quantized.json: values, and the blocks that it makes of them in the types that Foretoken writes.

    python3 golden.py    # needs gguf (0.19.0 was used) and numpy
"""

import base64
import json
import pathlib

import numpy as np
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType
from gguf.quants import dequantize, quantize

# Where a block has its scales: f16, at these bytes.
SCALES = {
    "F32": [], "F16": [], "BF16": [],
    "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0],
    "Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208],
    "IQ2_XXS": [0], "IQ4_NL": [0], "IQ4_XS": [0],
}


def random_blocks(name: str, blocks: int, random: np.random.Generator) -> np.ndarray:
    """Any bytes, but scales that are finite: of either sign, subnormal, zero."""
    elements, size = GGML_QUANT_SIZES[GGMLQuantizationType[name]]
    if name == "F32":
        return random.normal(size=(blocks, 1)).astype(np.float32).view(np.uint8)
    packed = random.integers(0, 256, size=(blocks, size), dtype=np.uint8)
    for at in SCALES[name]:
        scales = random.normal(size=blocks) * 2.0 ** random.integers(-20, 6, size=blocks)
        scales[random.integers(0, 16, size=blocks) == 0] = 0
        packed[:, at : at + 2] = scales.astype(np.float16).view(np.uint8).reshape(blocks, 2)
    if name in ("F16", "BF16"):
        # No NaN: which of its patterns comes out is nobody's concern.
        halves = packed.view(np.uint16)
        halves[(halves & 0x7F80) == 0x7F80] = 0x1234
        halves[(halves & 0x7C00) == 0x7C00] = 0x1234
    return packed


if __name__ == "__main__":
    random = np.random.default_rng(1)
    golden = {}
    for name in SCALES:
        kind = GGMLQuantizationType[name]
        elements, _ = GGML_QUANT_SIZES[kind]
        packed = random_blocks(name, max(2, 256 // elements), random)
        values = dequantize(packed.reshape(1, -1), kind).astype(np.float32)
        golden[name] = {
            "type": int(kind),
            "packed": base64.b64encode(packed.tobytes()).decode(),
            "values": base64.b64encode(values.tobytes()).decode(),
        }
    path = pathlib.Path(__file__).with_name("golden.json")
    path.write_text(json.dumps(golden, indent=2) + "\n")

    # Of every size; ties, zeros of both signs and a block of nothing else.
    values = (random.normal(size=2048) * 2.0 ** random.integers(-30, 16, size=2048)).astype(np.float32)
    values[:64] = np.round(values[:64] * 8) / 16
    values[64:96] = 0
    values[96] = -0.0
    quantized = {"values": base64.b64encode(values.tobytes()).decode()}
    for name in ["F16", "BF16", "Q8_0"]:
        with np.errstate(over="ignore"):
            packed = quantize(values.reshape(1, -1), GGMLQuantizationType[name])
        quantized[name] = base64.b64encode(packed.tobytes()).decode()
    pathlib.Path(__file__).with_name("quantized.json").write_text(json.dumps(quantized, indent=2) + "\n")
