"""stories.py GOLDEN_DIRECTORY MODEL OUT TYPE: MODEL (stories15M) as a GGUF file, matrices in TYPE; prints the SHA-256 of what every
tensor is in transformers, after what its type cost. What the gguf package cannot pack is random blocks; rows that are no whole
blocks are F16."""

import hashlib
import json
import pathlib
import sys

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter
from gguf.constants import GGML_QUANT_SIZES
from gguf.quants import dequantize, quantize
from safetensors.numpy import load_file

golden, source, out, name = sys.argv[1:]
sys.path.insert(0, golden)
from golden import random_blocks  # noqa: E402
from tiny import permuted  # noqa: E402

source = pathlib.Path(source)
config = json.loads((source / "config.json").read_text())
heads, layers = config["num_attention_heads"], config["num_hidden_layers"]
random = np.random.default_rng(5)
weights = {key: value.astype(np.float32) for key, value in load_file(source / "model.safetensors").items()}
writer = GGUFWriter(out, "llama")
writer.add_context_length(config["max_position_embeddings"])
writer.add_embedding_length(config["hidden_size"])
writer.add_block_count(layers)
writer.add_feed_forward_length(config["intermediate_size"])
writer.add_head_count(heads)
writer.add_head_count_kv(config["num_key_value_heads"])
writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
writer.add_rope_dimension_count(config["head_dim"])

tokenizer = json.loads((source / "tokenizer.json").read_text())
tokens = [token for token, _ in sorted(tokenizer["model"]["vocab"].items(), key=lambda entry: entry[1])]
writer.add_tokenizer_model("llama")
writer.add_tokenizer_pre("default")
writer.add_token_list(tokens)
# As in Llama's tokenizer.model: the first piece behind the bytes has score 0, each next one 1 less; runs of spaces are last.
runs = {token for token in tokens if len(token) > 1 and set(token) == {"▁"}}
writer.add_token_scores([-1e9 if token in runs else float(min(0, 259 - id)) for id, token in enumerate(tokens)])
writer.add_token_types([2, 3, 3, *[6] * 256, *[1] * (len(tokens) - 259)])
writer.add_bos_token_id(1)
writer.add_eos_token_id(2)

hashes = {}


def add(gguf: str, full: str, turned: bool = False) -> None:
    values = weights[full]
    kind = GGMLQuantizationType[name] if values.ndim == 2 else GGMLQuantizationType.F32
    elements, size = GGML_QUANT_SIZES[kind]
    if values.shape[-1] % elements != 0:
        kind = GGMLQuantizationType.F16
    try:
        packed = quantize(values, kind)
    except NotImplementedError:
        blocks = random_blocks(kind.name, values.size // elements, random)
        packed = blocks.reshape(values.shape[0], values.shape[1] // elements * size)
    kept = dequantize(packed, kind).reshape(values.shape).astype(np.float32)
    hashes[full] = hashlib.sha256(kept.tobytes()).hexdigest()
    # Rows are packed one by one, so that they can change places afterwards.
    writer.add_tensor(gguf, permuted(packed, heads) if turned else packed, raw_dtype=kind)


add("token_embd.weight", "model.embed_tokens.weight")
add("output_norm.weight", "model.norm.weight")
for layer in range(layers):
    at, full = f"blk.{layer}", f"model.layers.{layer}"
    add(f"{at}.attn_norm.weight", f"{full}.input_layernorm.weight")
    add(f"{at}.attn_q.weight", f"{full}.self_attn.q_proj.weight", turned=True)
    add(f"{at}.attn_k.weight", f"{full}.self_attn.k_proj.weight", turned=True)
    add(f"{at}.attn_v.weight", f"{full}.self_attn.v_proj.weight")
    add(f"{at}.attn_output.weight", f"{full}.self_attn.o_proj.weight")
    add(f"{at}.ffn_norm.weight", f"{full}.post_attention_layernorm.weight")
    add(f"{at}.ffn_gate.weight", f"{full}.mlp.gate_proj.weight")
    add(f"{at}.ffn_up.weight", f"{full}.mlp.up_proj.weight")
    add(f"{at}.ffn_down.weight", f"{full}.mlp.down_proj.weight")
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()
print(json.dumps(hashes))
