"""Writes small GGUF files with random weights, as llama.cpp's convert_hf_to_gguf.py would, and tiny.json: the SHA-256 of what
every tensor is in transformers (name, shape, f32 little-endian), after what its type cost.

    python3 tiny.py    # needs gguf (0.19.0 was used) and numpy
"""

import hashlib
import json
import pathlib

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter
from gguf.quants import dequantize, quantize

HERE = pathlib.Path(__file__).parent
random = np.random.default_rng(2)

# Sizes of all three models.
VOCAB, WIDTH, INNER, LAYERS, HEADS, KV_HEADS, POSITIONS = 280, 32, 64, 2, 4, 2, 64


def permuted(weights: np.ndarray, heads: int) -> np.ndarray:
    """The rows as llama.cpp wants them: convert_hf_to_gguf.py, LlamaModel.permute."""
    shape = (heads, 2, weights.shape[0] // heads // 2, *weights.shape[1:])
    return weights.reshape(shape).swapaxes(1, 2).reshape(weights.shape)


class Model:
    def __init__(self, architecture: str, file: str, kind: GGMLQuantizationType):
        self.writer = GGUFWriter(HERE / file, architecture)
        self.kind = kind
        self.hashes: dict[str, str] = {}

    def tensor(self, gguf: str, name: str, shape: tuple[int, ...], heads: int = 0, conv1d: bool = False) -> None:
        """`shape` is [out, in]; transformers keeps it so, but for the Conv1D of GPT-2."""
        values = random.normal(size=shape).astype(np.float32)
        stored = permuted(values, heads) if heads else values
        kind = self.kind if len(shape) == 2 else GGMLQuantizationType.F32
        packed = quantize(stored, kind)
        self.writer.add_tensor(gguf, packed, raw_dtype=kind)
        # Rows are packed one by one: what they lose does not depend on their order.
        lost = dequantize(quantize(values, kind), kind).reshape(shape).astype(np.float32)
        kept = np.ascontiguousarray(lost.T) if conv1d else lost
        self.hashes[name] = hashlib.sha256(json.dumps(list(kept.shape)).encode() + kept.tobytes()).hexdigest()

    def close(self) -> dict[str, str]:
        self.writer.write_header_to_file()
        self.writer.write_kv_data_to_file()
        self.writer.write_tensors_to_file()
        self.writer.close()
        return self.hashes


def scored_tokens(writer: GGUFWriter) -> None:
    pieces = [" t", "he", " the", "in", " a", "an", "nd", " and", *"▁abcdehint"[:10]]
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *(p.replace(" ", "▁") for p in pieces)]
    tokens += [f"unused{i}" for i in range(VOCAB - len(tokens))]
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * 259 + [-float(i) for i in range(VOCAB - 259)])
    writer.add_token_types([2, 3, 3, *[6] * 256, *[5 if t.startswith("unused") else 1 for t in tokens[259:]]])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_chat_template("{{ bos_token }}{{ messages[0].content }}")


def merged_tokens(writer: GGUFWriter, pre: str) -> None:
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = [byte for byte in range(256) if byte not in printable]
    letters = [chr(byte) for byte in printable] + [chr(0x100 + i) for i in range(len(rest))]
    merges = ["Ġ t", "h e", "Ġt he", "i n", "Ġ a", "n d", "Ġa nd"]
    tokens = letters + [merge.replace(" ", "") for merge in merges] + ["<|endoftext|>"]
    tokens += [f"[PAD{i}]" for i in range(VOCAB - len(tokens))]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types([*[1] * 263, 3, *[5] * (VOCAB - 264)])
    writer.add_token_merges(merges)
    writer.add_bos_token_id(263)
    writer.add_eos_token_id(263)
    writer.add_add_bos_token(False)


def sizes(writer: GGUFWriter) -> None:
    writer.add_context_length(POSITIONS)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)


def llama_like(architecture: str, file: str, kind: GGMLQuantizationType, head: int, paired: bool, biases: bool) -> dict:
    model = Model(architecture, file, kind)
    writer = model.writer
    sizes(writer)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(10000.0 if paired else 1000000.0)
    if architecture == "llama":
        scored_tokens(writer)
        writer.add_rope_dimension_count(head)
        # Llama 3's scaling, as convert_hf_to_gguf.py stores it: factor 8, original context 100.
        writer.add_rope_scaling_orig_ctx_len(100)
        factors = []
        for frequency in 1.0 / (10000.0 ** (np.arange(0, head, 2) / head)):
            wavelength = 2 * np.pi / frequency
            if wavelength < 100 / 4:
                factors.append(1)
            elif wavelength > 100 / 1:
                factors.append(8)
            else:
                smooth = (100 / wavelength - 1) / (4 - 1)
                factors.append(1 / ((1 - smooth) / 8 + smooth))
        writer.add_tensor("rope_freqs.weight", np.array(factors, dtype=np.float32))
    else:
        merged_tokens(writer, "qwen2")
    if head != WIDTH // HEADS:
        writer.add_key_length(head)
        writer.add_value_length(head)
    model.tensor("token_embd.weight", "model.embed_tokens.weight", (VOCAB, WIDTH))
    for layer in range(LAYERS):
        at, name = f"blk.{layer}", f"model.layers.{layer}"
        model.tensor(f"{at}.attn_norm.weight", f"{name}.input_layernorm.weight", (WIDTH,))
        for part, full, rows, heads in [
            ("attn_q", "q_proj", HEADS * head, HEADS),
            ("attn_k", "k_proj", KV_HEADS * head, KV_HEADS),
            ("attn_v", "v_proj", KV_HEADS * head, 0),
        ]:
            heads = heads if paired else 0
            model.tensor(f"{at}.{part}.weight", f"{name}.self_attn.{full}.weight", (rows, WIDTH), heads)
            if biases:
                model.tensor(f"{at}.{part}.bias", f"{name}.self_attn.{full}.bias", (rows,))
        if architecture == "qwen3":
            model.tensor(f"{at}.attn_q_norm.weight", f"{name}.self_attn.q_norm.weight", (head,))
            model.tensor(f"{at}.attn_k_norm.weight", f"{name}.self_attn.k_norm.weight", (head,))
        model.tensor(f"{at}.attn_output.weight", f"{name}.self_attn.o_proj.weight", (WIDTH, HEADS * head))
        model.tensor(f"{at}.ffn_norm.weight", f"{name}.post_attention_layernorm.weight", (WIDTH,))
        model.tensor(f"{at}.ffn_gate.weight", f"{name}.mlp.gate_proj.weight", (INNER, WIDTH))
        model.tensor(f"{at}.ffn_up.weight", f"{name}.mlp.up_proj.weight", (INNER, WIDTH))
        model.tensor(f"{at}.ffn_down.weight", f"{name}.mlp.down_proj.weight", (WIDTH, INNER))
    model.tensor("output_norm.weight", "model.norm.weight", (WIDTH,))
    if architecture == "llama":
        model.tensor("output.weight", "lm_head.weight", (VOCAB, WIDTH))
    return model.close()


def gpt2(file: str, kind: GGMLQuantizationType) -> dict:
    model = Model("gpt2", file, kind)
    sizes(model.writer)
    model.writer.add_layer_norm_eps(1e-5)
    merged_tokens(model.writer, "gpt-2")
    model.tensor("token_embd.weight", "transformer.wte.weight", (VOCAB, WIDTH))
    model.tensor("position_embd.weight", "transformer.wpe.weight", (POSITIONS, WIDTH))

    def norm(gguf: str, name: str) -> None:
        model.tensor(f"{gguf}.weight", f"{name}.weight", (WIDTH,))
        model.tensor(f"{gguf}.bias", f"{name}.bias", (WIDTH,))

    def linear(gguf: str, name: str, out: int, into: int) -> None:
        model.tensor(f"{gguf}.weight", f"{name}.weight", (out, into), conv1d=True)
        model.tensor(f"{gguf}.bias", f"{name}.bias", (out,))

    for layer in range(LAYERS):
        at, name = f"blk.{layer}", f"transformer.h.{layer}"
        norm(f"{at}.attn_norm", f"{name}.ln_1")
        linear(f"{at}.attn_qkv", f"{name}.attn.c_attn", 3 * WIDTH, WIDTH)
        linear(f"{at}.attn_output", f"{name}.attn.c_proj", WIDTH, WIDTH)
        norm(f"{at}.ffn_norm", f"{name}.ln_2")
        linear(f"{at}.ffn_up", f"{name}.mlp.c_fc", INNER, WIDTH)
        linear(f"{at}.ffn_down", f"{name}.mlp.c_proj", WIDTH, INNER)
    norm("output_norm", "transformer.ln_f")
    return model.close()


if __name__ == "__main__":
    kinds = GGMLQuantizationType
    golden = {
        "llama": llama_like("llama", "tiny-llama.gguf", kinds.Q8_0, WIDTH // HEADS, paired=True, biases=False),
        "qwen2": llama_like("qwen2", "tiny-qwen2.gguf", kinds.Q4_0, WIDTH // HEADS, paired=False, biases=True),
        "qwen3": llama_like("qwen3", "tiny-qwen3.gguf", kinds.BF16, 16, paired=False, biases=False),
        "gpt2": gpt2("tiny-gpt2.gguf", kinds.F16),
    }
    (HERE / "tiny.json").write_text(json.dumps(golden, indent=2) + "\n")
