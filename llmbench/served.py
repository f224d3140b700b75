"""A model as its server describes it."""

from dataclasses import dataclass, fields, replace
from typing import Self


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model as its server describes it; None where the server does not say.

    Attributes:
        server: The name of the server program.
        server_version: The version of the server program.
        quantization: The format of the weights, such as Q4_K_M.
        parameters: The number of parameters.
        file_bytes: The size of the weights.
        architecture: The family of the model, such as qwen3.
        context_length: The context of one request as the model is loaded, in tokens.
        max_context_length: The longest context that the model supports, in tokens.
        vram_share: The share of the loaded model that is in the memory of GPUs, 0..1.
        loaded: True if the model is loaded.
        load_seconds: The time that loading took in this run; None if it was loaded before.
    """

    server: str | None = None
    server_version: str | None = None
    quantization: str | None = None
    parameters: int | None = None
    file_bytes: int | None = None
    architecture: str | None = None
    context_length: int | None = None
    max_context_length: int | None = None
    vram_share: float | None = None
    loaded: bool | None = None
    load_seconds: float | None = None

    @property
    def server_label(self) -> str | None:
        """Name and version of the server, as far as they are known."""
        return " ".join(filter(None, [self.server, self.server_version])) or None

    def or_else(self, other: Self) -> Self:
        """Return this description, with that of `other` where this one has none."""
        missing = {f.name for f in fields(self) if getattr(self, f.name) is None}
        return replace(self, **{name: getattr(other, name) for name in missing})


UNDESCRIBED = ServedModel()
"""The description of a model of which the server says nothing."""
