"""read.py FILE...: what the gguf package reads in GGUF files: of each the SHA-256 of all tensors in f32, and some metadata."""

import hashlib
import json
import sys

import numpy as np
from gguf import GGUFReader
from gguf.quants import dequantize

found = []
for path in sys.argv[1:]:
    reader = GGUFReader(path)
    tensors = {
        tensor.name: hashlib.sha256(dequantize(tensor.data, tensor.tensor_type).astype(np.float32).tobytes()).hexdigest()
        for tensor in reader.tensors
    }
    keys = ["general.architecture", "tokenizer.ggml.model", "tokenizer.ggml.pre", "tokenizer.ggml.bos_token_id"]
    metadata = {key: reader.fields[key].contents() for key in keys if key in reader.fields}
    tokens = reader.fields["tokenizer.ggml.tokens"].contents()
    found.append({"tensors": tensors, "metadata": metadata, "tokens": len(tokens), "last": tokens[-1]})
print(json.dumps(found))
