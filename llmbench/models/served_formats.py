"""The formats in which servers describe their models, each as a function of a JSON answer.

A function returns the described models by id. The id `ANY` stands for the model that was asked
about. An answer comes from a stranger: values of a wrong type or an absurd size count as missing.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from llmbench.models.usage import get_number
from llmbench.served import ServedModel

ANY = ""
"""Id of the model that was asked about, or of the only one of a server that takes any name."""

Served = dict[str, ServedModel]

MAX_TEXT = 200
MAX_COUNT = 2**60

_SIZES = {"K": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}
_PARAMETERS = re.compile(r"(\d+(?:\.\d+)?)\s*([KMBT])(?:-A\d+(?:\.\d+)?[KMBT])?", re.IGNORECASE)
_VARIANTS = {"small": "_S", "medium": "_M", "large": "_L"}
_FTYPE = re.compile(r"(?:\(guessed\) )?(?:all |mostly )?(\w+)(?: - (small|medium|large)\b)?", re.I)
_IN_FILE_NAME = re.compile(
    r"[-._](I?Q\d\w*|BF16|F16|F32|MXFP4\w*)(?:-\d{5}-of-\d{5})?\.gguf$", re.IGNORECASE
)


def text(item: object, *names: str) -> str | None:
    """Return the text at a path of names, without control characters and not too long, or None."""
    for name in names:
        item = item.get(name) if isinstance(item, Mapping) else None
    if not isinstance(item, str):
        return None
    printable = "".join(c if c.isprintable() else " " for c in item[: 2 * MAX_TEXT])
    return printable.strip()[:MAX_TEXT].rstrip() or None


def count(item: object, *names: str) -> int | None:
    """Return the positive whole number at a path of names, or None."""
    for name in names[:-1]:
        item = item.get(name) if isinstance(item, Mapping) else None
    number = get_number(item, names[-1])
    return int(number) if number is not None and 0 < number < MAX_COUNT else None


def items(body: object, *names: str) -> Iterator[Mapping[str, Any]]:
    """Yield the objects of the first list that a body has under one of these names."""
    for name in names:
        values = body.get(name) if isinstance(body, Mapping) else None
        if isinstance(values, Sequence) and not isinstance(values, str):
            yield from (value for value in values if isinstance(value, Mapping))
            return


def parameters(value: str | None) -> int | None:
    """Return the number of parameters that a text such as 7.6B or 30B-A3B states, or None."""
    match = _PARAMETERS.fullmatch(value or "")
    return round(float(match[1]) * _SIZES[match[2].upper()]) if match else None


def quantization(ftype: str | None, path: str | None = None) -> str | None:
    """Return a quantization in its short form, from llama.cpp's words or else from a file name."""
    match = _FTYPE.match(ftype or "")
    if match and match[1].lower() != "unknown":
        return match[1] + _VARIANTS.get((match[2] or "").lower(), "")
    match = _IN_FILE_NAME.search(path or "")
    return match[1].upper() if match else None


def lmstudio(body: object) -> Served:
    """Read `GET /api/v1/models` of LM Studio; an instance has an id of its own."""
    served = {}
    for item in items(body, "models"):
        key = text(item, "key")
        if key is None:
            continue
        instances = list(items(item, "loaded_instances"))
        model = ServedModel(
            quantization=text(item, "quantization", "name"),
            parameters=parameters(text(item, "params_string")),
            file_bytes=count(item, "size_bytes"),
            architecture=text(item, "architecture"),
            max_context_length=count(item, "max_context_length"),
            loaded=bool(instances),
        )
        for instance in reversed(instances):
            context = ServedModel(context_length=count(instance, "config", "context_length"))
            served[key] = served[text(instance, "id") or key] = context.or_else(model)
        served.setdefault(key, model)
    return served


def lmstudio_v0(body: object) -> Served:
    """Read `GET /api/v0/models` of LM Studio."""
    return {
        id_: ServedModel(
            quantization=text(item, "quantization"),
            architecture=text(item, "arch"),
            context_length=count(item, "loaded_context_length"),
            max_context_length=count(item, "max_context_length"),
            loaded=item.get("state") == "loaded",
        )
        for item in items(body, "data")
        if (id_ := text(item, "id"))
    }


def _ollama_names(item: Mapping[str, Any]) -> set[str]:
    """Return the names by which Ollama knows a model; `latest` may be left out."""
    names = {name for name in (text(item, "name"), text(item, "model")) if name}
    return names | {name.removesuffix(":latest") for name in names}


def ollama_tags(body: object) -> Served:
    """Read `GET /api/tags` of Ollama."""
    return {
        name: ServedModel(
            quantization=text(item, "details", "quantization_level"),
            parameters=parameters(text(item, "details", "parameter_size")),
            file_bytes=count(item, "size"),
            architecture=text(item, "details", "family"),
            max_context_length=count(item, "details", "context_length"),
        )
        for item in items(body, "models")
        for name in _ollama_names(item)
    }


def ollama_ps(body: object) -> Served:
    """Read `GET /api/ps` of Ollama, which lists loaded models alone."""
    served: Served = {}
    for item in items(body, "models"):
        size, in_vram = count(item, "size"), get_number(item, "size_vram")
        known = size is not None and in_vram is not None and 0 <= in_vram <= size
        model = ServedModel(
            context_length=count(item, "context_length"),
            vram_share=round(in_vram / size, 4) if known and in_vram is not None and size else None,
            loaded=True,
        )
        served |= dict.fromkeys(_ollama_names(item), model)
    return served


def ollama_show(body: object) -> Served:
    """Read `POST /api/show` of Ollama."""
    family = text(body, "model_info", "general.architecture")
    return {
        ANY: ServedModel(
            quantization=text(body, "details", "quantization_level"),
            parameters=count(body, "model_info", "general.parameter_count"),
            architecture=family,
            max_context_length=count(body, "model_info", f"{family}.context_length"),
        )
    }


def llamacpp_props(body: object) -> Served:
    """Read `GET /props` of llama.cpp; the context is that of one slot."""
    ftype, path = text(body, "model_ftype"), text(body, "model_path")
    return {
        ANY: ServedModel(
            server_version=text(body, "build_info"),
            quantization=quantization(ftype, path),
            context_length=count(body, "default_generation_settings", "n_ctx"),
        )
    }


def llamacpp_models(body: object) -> Served:
    """Read `GET /v1/models` of llama.cpp; a server of one model answers to any name."""
    served = {}
    listed = list(items(body, "data"))
    for item in listed:
        id_ = text(item, "id")
        if id_ is None:
            continue
        state = text(item, "status", "value")
        served[id_] = ServedModel(
            quantization=quantization(text(item, "meta", "ftype"), id_),
            parameters=count(item, "meta", "n_params"),
            file_bytes=count(item, "meta", "size"),
            max_context_length=count(item, "meta", "n_ctx_train"),
            loaded=state is None or state == "loaded",
        )
        if len(listed) == 1 and state is None:
            served[ANY] = served[id_]
    return served


def max_model_len(body: object) -> Served:
    """Read `GET /v1/models` of vLLM and SGLang, which serve the models that they have loaded."""
    return {
        id_: ServedModel(context_length=count(item, "max_model_len"), loaded=True)
        for item in items(body, "data")
        if (id_ := text(item, "id"))
    }


def sglang(body: object) -> Served:
    """Read `GET /get_server_info` of SGLang: the arguments of the server, and its version."""
    return {
        ANY: ServedModel(
            server_version=text(body, "version"),
            quantization=text(body, "quantization"),
            context_length=count(body, "context_length"),
        )
    }


def llamaswap(body: object) -> Served:
    """Read `GET /running` of llama-swap."""
    return {
        id_: ServedModel(loaded=text(item, "state") == "ready")
        for item in items(body, "running")
        if (id_ := text(item, "model"))
    }
