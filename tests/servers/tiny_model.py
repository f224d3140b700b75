"""Writes a GGUF file for a real inference engine: a language model of a few kilobytes.

python tiny_model.py FILE [TEXT_FILE]

With a text, the model answers every prompt with that text and stops. Its embeddings are one-hot,
its attention and feed-forward weights are zero, and its output weights are a table of the next
token. Without a text its weights are random, from a fixed seed, and it generates until it is
stopped.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import gguf
import numpy as np

BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
UNKNOWN, BEGIN, END = 0, 1, 2
SPECIAL = ["<unk>", "<s>", "</s>"]
FIRST_PIECE = len(SPECIAL) + len(BYTES)
NORMAL, UNKNOWN_TYPE, CONTROL, BYTE = 1, 2, 3, 6
HEADS = 2
FEED_FORWARD = 32
CONTEXT = 8192
TEMPLATE = "{% for message in messages %}{{ message['content'] }}\n{% endfor %}"
SEED = 7
MIN_PIECE = 4
MAX_PIECE_BYTES = 32
"""llama-cpp-python drops a token that is longer than this buffer."""

NEXT_TOKEN_LOGIT = 30.0
"""High enough that sampling always picks the next token."""


def split(text: str) -> list[str]:
    """Split a text into pieces that are all different, so that each has one successor.

    No piece is a single byte: a single byte could also end a prompt.
    """
    pieces: list[str] = []
    while text:
        length = MIN_PIECE
        while text[:length] in pieces:
            length += 1
        if len(text) - length < MIN_PIECE:
            length = len(text)
        pieces.append(text[:length])
        text = text[length:]
    assert all(len(piece.encode()) <= MAX_PIECE_BYTES for piece in pieces)
    return pieces


class Weights:
    """The tensors of a model that answers with `pieces`, or at random if there are none."""

    def __init__(self, pieces: Sequence[str]) -> None:
        self.size = FIRST_PIECE + len(pieces)
        self.width = -(-self.size // 32) * 32
        self._random = np.random.default_rng(SEED)
        embedding = self._normal(self.size, self.width, scale=1.0)
        output = self._normal(self.size, self.width, scale=0.2)
        if pieces:
            embedding = np.eye(self.size, self.width, dtype=np.float32)
            output = self._next_token_table()
        output[UNKNOWN] = output[BEGIN] = 0
        if not pieces:
            output[END] = -np.abs(output[END])
        self.tensors = {
            "token_embd": embedding,
            "output_norm": np.ones(self.width, np.float32),
            "output": output,
            **self._block(scale=0.0 if pieces else 0.3),
        }

    def _normal(self, *shape: int, scale: float) -> np.ndarray:
        return (self._random.standard_normal(shape) * scale).astype(np.float32)

    def _next_token_table(self) -> np.ndarray:
        """Return the output weights by which each piece is followed by the next one."""
        following = np.full(self.size, FIRST_PIECE)
        following[FIRST_PIECE : self.size - 1] = np.arange(FIRST_PIECE + 1, self.size)
        following[self.size - 1] = END
        output = np.zeros((self.size, self.width), np.float32)
        # The norm scales a one-hot vector to the square root of its width.
        output[following, np.arange(self.size)] = NEXT_TOKEN_LOGIT / self.width**0.5
        return output

    def _block(self, scale: float) -> dict[str, np.ndarray]:
        """Return the weights of the one transformer block."""
        square, tall = (self.width, self.width), (FEED_FORWARD, self.width)
        norms = {name: np.ones(self.width, np.float32) for name in ("attn_norm", "ffn_norm")}
        shapes = {
            **dict.fromkeys(("attn_q", "attn_k", "attn_v", "attn_output"), square),
            **dict.fromkeys(("ffn_gate", "ffn_up"), tall),
            "ffn_down": tall[::-1],
        }
        linear = {name: self._normal(*shape, scale=scale) for name, shape in shapes.items()}
        return {f"blk.0.{name}": tensor for name, tensor in {**norms, **linear}.items()}


def write(path: str, pieces: Sequence[str], weights: Weights) -> None:
    """Write the model to a GGUF file."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(weights.width)
    writer.add_block_count(1)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_dimension_count(weights.width // HEADS)
    add_vocabulary(writer, pieces)
    writer.add_chat_template(TEMPLATE)
    for name, tensor in weights.tensors.items():
        writer.add_tensor(f"{name}.weight", tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def add_vocabulary(writer: gguf.GGUFWriter, pieces: Sequence[str]) -> None:
    """Add the special tokens, a token for each byte, and the pieces."""
    tokens = [*SPECIAL, *BYTES, *(piece.replace(" ", "▁") for piece in pieces)]
    types = [UNKNOWN_TYPE, CONTROL, CONTROL, *[BYTE] * len(BYTES), *[NORMAL] * len(pieces)]
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * len(tokens))
    writer.add_token_types(types)
    writer.add_bos_token_id(BEGIN)
    writer.add_eos_token_id(END)
    writer.add_add_space_prefix(False)


def main() -> None:
    """Write a model that answers with the text, or at random if there is none."""
    text = Path(sys.argv[2]).read_text(encoding="utf-8") if len(sys.argv) > 2 else ""
    pieces = split(text)
    write(sys.argv[1], pieces, Weights(pieces))


if __name__ == "__main__":
    main()
