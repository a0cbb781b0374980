"""Writes small checkpoints of llama2.c with random weights, laid out as its export.py and runq.c have them, with a tokenizer.bin,
and tiny.json: the SHA-256 of what every tensor is in transformers (shape, f32 little-endian).

    python3 tiny.py    # needs numpy
"""

import hashlib
import json
import pathlib
import struct

import numpy as np

HERE = pathlib.Path(__file__).parent
VOCAB, WIDTH, INNER, LAYERS, HEADS, KV_HEADS, POSITIONS, GROUP = 270, 16, 24, 2, 2, 1, 32, 8
HEAD = WIDTH // HEADS


def meta_rows(weights: np.ndarray, heads: int) -> np.ndarray:
    """transformers' rows as Meta (and llama2.c) has them; the inverse of permute in convert_llama_weights_to_hf.py."""
    out, into = weights.shape
    return weights.reshape(heads, 2, out // heads // 2, into).swapaxes(1, 2).reshape(out, into)


def quantized(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    groups = values.reshape(-1, GROUP)
    scales = (np.abs(groups).max(axis=1) / np.float32(127)).astype(np.float32)
    return np.rint(groups / scales[:, None]).astype(np.int8), scales


def write(name: str, version: int, tied: bool) -> dict[str, str]:
    random = np.random.default_rng(3)
    hashes: dict[str, str] = {}

    def draw(full: str, shape: tuple[int, ...]) -> np.ndarray:
        values = random.normal(size=shape).astype(np.float32)
        kept = values
        if version == 2 and len(shape) == 2:
            q, scales = quantized(values)
            kept = (q.astype(np.float32) * scales[:, None]).reshape(shape)
        hashes[full] = hashlib.sha256(json.dumps(list(shape)).encode() + kept.tobytes()).hexdigest()
        return values

    def layered(part: str, shape: tuple[int, ...], heads: int = 0) -> list[np.ndarray]:
        values = [draw(f"model.layers.{layer}.{part}.weight", shape) for layer in range(LAYERS)]
        return [meta_rows(value, heads) for value in values] if heads else values

    embedding = [draw("model.embed_tokens.weight", (VOCAB, WIDTH))]
    attention_norms = layered("input_layernorm", (WIDTH,))
    wq = layered("self_attn.q_proj", (WIDTH, WIDTH), HEADS)
    wk = layered("self_attn.k_proj", (KV_HEADS * HEAD, WIDTH), KV_HEADS)
    wv = layered("self_attn.v_proj", (KV_HEADS * HEAD, WIDTH))
    wo = layered("self_attn.o_proj", (WIDTH, WIDTH))
    mlp_norms = layered("post_attention_layernorm", (WIDTH,))
    w1 = layered("mlp.gate_proj", (INNER, WIDTH))
    w2 = layered("mlp.down_proj", (WIDTH, INNER))
    w3 = layered("mlp.up_proj", (INNER, WIDTH))
    norm = [draw("model.norm.weight", (WIDTH,))]
    output = [] if tied else [draw("lm_head.weight", (VOCAB, WIDTH))]

    sizes = [WIDTH, INNER, LAYERS, HEADS, KV_HEADS]
    with open(HERE / name / "model.bin", "wb") as file:
        if version == 0:
            file.write(struct.pack("7i", *sizes, VOCAB if tied else -VOCAB, POSITIONS))
            rotations = [np.ones((POSITIONS, HEAD // 2), np.float32), np.zeros((POSITIONS, HEAD // 2), np.float32)]
            parts = [embedding, attention_norms, wq, wk, wv, wo, mlp_norms, w1, w2, w3, norm, rotations, output]
            for part in parts:
                for values in part:
                    file.write(values.tobytes())
        else:
            file.write(struct.pack("Ii7iB", 0x616B3432, version, *sizes, VOCAB, POSITIONS, int(tied)))
            if version == 2:
                file.write(struct.pack("<i", GROUP))
            file.write(bytes(256 - file.tell()))
            for part in [attention_norms, mlp_norms, norm]:
                for values in part:
                    file.write(values.tobytes())
            for part in [embedding, wq, wk, wv, wo, w1, w2, w3, output]:
                for values in part:
                    if version == 1:
                        file.write(values.tobytes())
                    else:
                        q, scales = quantized(values)
                        file.write(q.tobytes() + scales.tobytes())
    return hashes


def write_tokenizer(path: pathlib.Path) -> None:
    """tokenizer.py of llama2.c: `▁` is a space there, <s> and </s> stand between line feeds."""
    pieces = [" t", "he", " the", "in", " a", *" theina"[:6]]
    tokens = ["<unk>", "\n<s>\n", "\n</s>\n", *(f"<0x{byte:02X}>" for byte in range(256)), *pieces]
    assert len(tokens) == VOCAB
    encoded = [token.encode() for token in tokens]
    scores = [0.0] * 259 + [-float(i) for i in range(len(pieces))]
    with open(path, "wb") as file:
        file.write(struct.pack("I", max(map(len, encoded))))
        for token, score in zip(encoded, scores):
            file.write(struct.pack("fI", score, len(token)) + token)


if __name__ == "__main__":
    golden = {"legacy": write("legacy", 0, False), "v1": write("v1", 1, True), "v2": write("v2", 2, True)}
    (HERE / "tiny.json").write_text(json.dumps(golden, indent=2) + "\n")
    write_tokenizer(HERE / "v1" / "tokenizer.bin")
