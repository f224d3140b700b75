"""Writes a GGUF file for a real inference engine: a language model of a few kilobytes.

python tiny_model.py FILE [TEXT_FILE]

With a text it says that text to every prompt, and ends: embeddings are one-hot, attention and
feed-forward are nought, and the output weights are a table of the next token. Without one its
weights are random, from a fixed seed, and it babbles until it is stopped.
"""

import sys
from pathlib import Path

import gguf
import numpy as np

BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
UNKNOWN, BEGIN, END = 0, 1, 2
NORMAL, UNKNOWN_TYPE, CONTROL, BYTE = 1, 2, 3, 6
HEADS = 2
CONTEXT = 8192
TEMPLATE = "{% for message in messages %}{{ message['content'] }}\n{% endfor %}"
SEED = 7
SHORTEST = 4
LONGEST_BYTES = 32
"""The buffer into which llama-cpp-python writes a token; a longer one is left out."""

SURE = 30.0
"""Logit of the one next token: no sampling leaves it."""


def pieces(text: str) -> list[str]:
    """The text in pieces that are all different, so that each has one that follows it.

    None is a single byte, which would be met at the end of prompts, too.
    """
    found: list[str] = []
    while text:
        length = SHORTEST
        while text[:length] in found:
            length += 1
        if len(text) - length < SHORTEST:
            length = len(text)
        found.append(text[:length])
        text = text[length:]
    assert all(len(piece.encode()) <= LONGEST_BYTES for piece in found)
    return found


def main() -> None:
    """Write the file."""
    text = Path(sys.argv[2]).read_text(encoding="utf-8") if len(sys.argv) > 2 else ""
    said = pieces(text)
    tokens = ["<unk>", "<s>", "</s>", *BYTES, *(piece.replace(" ", "▁") for piece in said)]
    size = len(tokens)
    width = -(-size // 32) * 32
    chance = np.random.default_rng(SEED)

    def weights(*shape: int, scale: float = 0.0) -> np.ndarray:
        return (chance.standard_normal(shape) * scale).astype(np.float32)

    embedding, output = weights(size, width, scale=1.0), weights(size, width, scale=0.2)
    if said:
        first = 3 + len(BYTES)
        follows = np.full(size, first)
        follows[first : size - 1] = np.arange(first + 1, size)
        follows[size - 1] = END
        embedding = np.eye(size, width, dtype=np.float32)
        output = np.zeros((size, width), np.float32)
        # The norm makes a one-hot vector as long as the root of its width.
        output[follows, np.arange(size)] = SURE / width**0.5
    output[UNKNOWN] = output[BEGIN] = 0
    if not said:
        output[END] = -np.abs(output[END])

    writer = gguf.GGUFWriter(sys.argv[1], "llama")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(width)
    writer.add_block_count(1)
    writer.add_feed_forward_length(32)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_dimension_count(width // HEADS)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * size)
    kinds = [UNKNOWN_TYPE, CONTROL, CONTROL, *[BYTE] * len(BYTES), *[NORMAL] * len(said)]
    writer.add_token_types(kinds)
    writer.add_bos_token_id(BEGIN)
    writer.add_eos_token_id(END)
    writer.add_add_space_prefix(False)
    writer.add_chat_template(TEMPLATE)
    scale = 0.0 if said else 0.3
    writer.add_tensor("token_embd.weight", embedding)
    writer.add_tensor("output_norm.weight", np.ones(width, np.float32))
    writer.add_tensor("output.weight", output)
    for name in ("attn_norm", "ffn_norm"):
        writer.add_tensor(f"blk.0.{name}.weight", np.ones(width, np.float32))
    for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
        writer.add_tensor(f"blk.0.{name}.weight", weights(width, width, scale=scale))
    for name, shape in (("gate", (32, width)), ("up", (32, width)), ("down", (width, 32))):
        writer.add_tensor(f"blk.0.ffn_{name}.weight", weights(*shape, scale=scale))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main()
