"""blocks.py GOLDEN_DIRECTORY OUT: a GGUF file with a matrix of random blocks of every type; prints the SHA-256 of the f32 values
that the gguf package makes of each."""

import hashlib
import json
import sys

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter
from gguf.constants import GGML_QUANT_SIZES
from gguf.quants import dequantize

sys.path.insert(0, sys.argv[1])
from golden import SCALES, random_blocks  # noqa: E402

ROWS, COLUMNS = 70, 768
random = np.random.default_rng(4)
writer = GGUFWriter(sys.argv[2], "none")
hashes = {}
for name in SCALES:
    kind = GGMLQuantizationType[name]
    elements, size = GGML_QUANT_SIZES[kind]
    packed = random_blocks(name, ROWS * COLUMNS // elements, random).reshape(ROWS, COLUMNS // elements * size)
    values = dequantize(packed, kind).astype(np.float32)
    writer.add_tensor(name, packed, raw_dtype=kind)
    hashes[name] = hashlib.sha256(values.tobytes()).hexdigest()
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()
print(json.dumps(hashes))
