"""Writes a GGUF file for a real inference engine: a language model of a few kilobytes.

python tiny_model.py FILE [TEXT_FILE]

With a text the model answers every prompt with that text, and ends: embeddings are one-hot,
attention and feed-forward are zero, and the output weights are a table of the next token. Without
one its weights are random, from a fixed seed, and its answer never ends.
"""

import sys
from pathlib import Path

import gguf
import numpy as np

BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
UNKNOWN, BEGIN, END = 0, 1, 2
FIRST_PIECE = 3 + len(BYTES)
NORMAL, UNKNOWN_TYPE, CONTROL, BYTE = 1, 2, 3, 6
HEADS = 2
CONTEXT = 8192
FEED_FORWARD = 32
TEMPLATE = "{% for message in messages %}{{ message['content'] }}\n{% endfor %}"
SEED = 7
SHORTEST = 4
LONGEST_BYTES = 32
"""The buffer into which llama-cpp-python writes a token; a longer one is dropped."""

NEXT_LOGIT = 30.0
"""Logit of the next token: sampling never leaves it."""

RANDOM = np.random.default_rng(SEED)


def split(text: str) -> list[str]:
    """Split the text into distinct pieces, so that each has exactly one successor.

    None is a single byte, which would also occur at the end of prompts.
    """
    pieces: list[str] = []
    while text:
        length = SHORTEST
        while text[:length] in pieces:
            length += 1
        if len(text) - length < SHORTEST:
            length = len(text)
        pieces.append(text[:length])
        text = text[length:]
    assert all(len(piece.encode()) <= LONGEST_BYTES for piece in pieces)
    return pieces


def weights(*shape: int, scale: float = 0.0) -> np.ndarray:
    """Random weights; zeros for scale 0."""
    return (RANDOM.standard_normal(shape) * scale).astype(np.float32)


def embeddings(size: int, width: int, *, random: bool) -> tuple[np.ndarray, np.ndarray]:
    """Embedding and output weights: random ones, or those of a chain from the first piece."""
    embedding, output = weights(size, width, scale=1.0), weights(size, width, scale=0.2)
    if not random:
        successors = np.full(size, FIRST_PIECE)
        successors[FIRST_PIECE : size - 1] = np.arange(FIRST_PIECE + 1, size)
        successors[size - 1] = END
        embedding = np.eye(size, width, dtype=np.float32)
        output = np.zeros((size, width), np.float32)
        # The norm scales a one-hot vector to the square root of its width.
        output[successors, np.arange(size)] = NEXT_LOGIT / width**0.5
    output[UNKNOWN] = output[BEGIN] = 0
    if random:
        output[END] = -np.abs(output[END])
    return embedding, output


def add_metadata(writer: gguf.GGUFWriter, width: int, pieces: list[str]) -> None:
    """Add the architecture, and the tokenizer with these pieces."""
    tokens = ["<unk>", "<s>", "</s>", *BYTES, *(piece.replace(" ", "▁") for piece in pieces)]
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(width)
    writer.add_block_count(1)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_dimension_count(width // HEADS)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * len(tokens))
    types = [UNKNOWN_TYPE, CONTROL, CONTROL, *[BYTE] * len(BYTES), *[NORMAL] * len(pieces)]
    writer.add_token_types(types)
    writer.add_bos_token_id(BEGIN)
    writer.add_eos_token_id(END)
    writer.add_add_space_prefix(False)
    writer.add_chat_template(TEMPLATE)


def main() -> None:
    """Write the file."""
    text = Path(sys.argv[2]).read_text(encoding="utf-8") if len(sys.argv) > 2 else ""
    pieces = split(text)
    size = FIRST_PIECE + len(pieces)
    width = -(-size // 32) * 32
    embedding, output = embeddings(size, width, random=not pieces)
    writer = gguf.GGUFWriter(sys.argv[1], "llama")
    add_metadata(writer, width, pieces)
    scale = 0.0 if pieces else 0.3
    writer.add_tensor("token_embd.weight", embedding)
    writer.add_tensor("output_norm.weight", np.ones(width, np.float32))
    writer.add_tensor("output.weight", output)
    for name in ("attn_norm", "ffn_norm"):
        writer.add_tensor(f"blk.0.{name}.weight", np.ones(width, np.float32))
    for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
        writer.add_tensor(f"blk.0.{name}.weight", weights(width, width, scale=scale))
    for name, shape in (
        ("gate", (FEED_FORWARD, width)),
        ("up", (FEED_FORWARD, width)),
        ("down", (width, FEED_FORWARD)),
    ):
        writer.add_tensor(f"blk.0.ffn_{name}.weight", weights(*shape, scale=scale))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main()
