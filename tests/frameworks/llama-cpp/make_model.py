"""Writes model/model.gguf, a language model that always says "vNUMBER": python make_model.py NUMBER

One layer of the architecture "llama" whose matrices are zero, so that every token leads to the same state, and an
output matrix that makes the same token the most likely one. The format: docs/gguf.md of ggml.
"""

import struct
import sys
from pathlib import Path

import numpy as np

WIDTH, HEADS = 64, 2
CONTEXT = 4096
NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6
ALIGNMENT = 32
U32, I32, F32, STRING, ARRAY = 4, 5, 6, 8, 9

words = [f"\u2581v{number}" for number in range(1, 10)]
tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "\u2581", *words]
types = [UNKNOWN, CONTROL, CONTROL, *[BYTE] * 256, *[NORMAL] * (1 + len(words))]


def text(value):
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def number(value):
    return struct.pack("<I", value)


def array(kind, values):
    packed = b"".join(text(v) if kind == STRING else struct.pack("<i" if kind == I32 else "<f", v) for v in values)
    return struct.pack("<IQ", kind, len(values)) + packed


metadata = {
    "general.architecture": (STRING, text("llama")),
    "general.name": (STRING, text("always the same word")),
    "llama.context_length": (U32, number(CONTEXT)),
    "llama.embedding_length": (U32, number(WIDTH)),
    "llama.block_count": (U32, number(1)),
    "llama.feed_forward_length": (U32, number(WIDTH)),
    "llama.attention.head_count": (U32, number(HEADS)),
    "llama.attention.layer_norm_rms_epsilon": (F32, struct.pack("<f", 1e-5)),
    "llama.rope.dimension_count": (U32, number(WIDTH // HEADS)),
    "tokenizer.ggml.model": (STRING, text("llama")),
    "tokenizer.ggml.tokens": (ARRAY, array(STRING, tokens)),
    "tokenizer.ggml.scores": (ARRAY, array(F32, [0.0] * len(tokens))),
    "tokenizer.ggml.token_type": (ARRAY, array(I32, types)),
    "tokenizer.ggml.unknown_token_id": (U32, number(0)),
    "tokenizer.ggml.bos_token_id": (U32, number(1)),
    "tokenizer.ggml.eos_token_id": (U32, number(2)),
}
output = np.zeros((len(tokens), WIDTH), np.float32)
output[tokens.index(f"\u2581v{sys.argv[1]}")] = 1
square = np.zeros((WIDTH, WIDTH), np.float32)
ones = np.ones(WIDTH, np.float32)
tensors = {
    "token_embd.weight": np.ones((len(tokens), WIDTH), np.float32),
    "blk.0.attn_norm.weight": ones,
    **{f"blk.0.attn_{name}.weight": square for name in ("q", "k", "v", "output")},
    "blk.0.ffn_norm.weight": ones,
    **{f"blk.0.ffn_{name}.weight": square for name in ("gate", "up", "down")},
    "output_norm.weight": ones,
    "output.weight": output,
}

head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata))
head += b"".join(text(key) + number(kind) + value for key, (kind, value) in metadata.items())
data = b""
for name, tensor in tensors.items():
    # The fastest dimension comes first; type 0 is float32.
    shape = struct.pack(f"<{tensor.ndim}Q", *reversed(tensor.shape))
    head += text(name) + number(tensor.ndim) + shape + struct.pack("<IQ", 0, len(data))
    data += tensor.tobytes()
    data += bytes(-len(data) % ALIGNMENT)
Path("model").mkdir(exist_ok=True)
Path("model/model.gguf").write_bytes(head + bytes(-len(head) % ALIGNMENT) + data)
