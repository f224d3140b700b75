"""The kinds of servers that say more about their models than the protocol does, as one table.

A server is recognised by the form of its answers, whatever provider it was reached by. A further
kind of server is one more row, and a function in `served_formats` if its answers are new.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from llmbench.models import served_formats as formats
from llmbench.models.served_formats import Served, items, text


@dataclass(frozen=True, slots=True)
class Source:
    """A request whose answer describes models.

    `path` begins at the root of the server. It holds `{model}` if the answer is about one model.
    With `posts_model` the request is a POST whose body names the model. `loaded_only` is True if
    the request would load the model. `lists_loaded` is True if models that are not listed are not
    loaded.
    """

    path: str
    parse: Callable[[Any], Served]
    posts_model: bool = False
    loaded_only: bool = False
    lists_loaded: bool = False

    @property
    def of_one_model(self) -> bool:
        """True if each request is about one model."""
        return self.posts_model or "{model}" in self.path


@dataclass(frozen=True, slots=True)
class Unload:
    """The request that unloads a model: a POST of `body` to `path`, with `{model}` filled in.

    With `instances` there is one request for each id that this function finds in a list of models.
    """

    path: str
    body: Mapping[str, Any]
    instances: Callable[[Any, str], list[str]] | None = None
    list_path: str = ""


@dataclass(frozen=True, slots=True)
class ServerKind:
    """One kind of server.

    A server is of this kind if its answer at `sign_path` fits `sign`. Its version is that of
    `version_path`, or comes with a source. `sources` are in the order of their precision. `unload`
    is None if the server keeps its models. A POST to `load_path` loads a model with the
    `context_length` that it names. `larger_context` says how people get a context of `{tokens}`.
    """

    name: str
    sign_path: str
    sign: Callable[[Any], bool]
    sources: tuple[Source, ...]
    version_path: str = ""
    unload: Unload | None = None
    load_path: str = ""
    larger_context: str = ""


def _owned_by(owner: str) -> Callable[[Any], bool]:
    """Return a sign: an entry in the list of models names this owner."""
    return lambda body: any(text(item, "owned_by") == owner for item in items(body, "data"))


def _has_list(name: str, *fields: str) -> Callable[[Any], bool]:
    """Return a sign: a list under this name, each of whose objects has these fields."""

    def fits(body: Any) -> bool:
        listed = body.get(name) if isinstance(body, Mapping) else None
        return isinstance(listed, list) and all(
            isinstance(item, Mapping) and item.keys() >= set(fields) for item in listed
        )

    return fits


def _has_any(*fields: str) -> Callable[[Any], bool]:
    """Return a sign: an object with one of these fields."""
    return lambda body: isinstance(body, Mapping) and not body.keys().isdisjoint(fields)


def _instances(body: Any, model: str) -> list[str]:
    """Return the ids of a model's loaded instances in LM Studio."""
    return [
        id_
        for item in items(body, "models")
        for instance in items(item, "loaded_instances")
        if (id_ := text(instance, "id")) and model in (id_, text(item, "key"))
    ]


_LM_STUDIO_CONTEXT = "load it with a context of {tokens} (`lms load --context-length {tokens}`)"

SERVER_KINDS = (
    ServerKind(
        "llama-swap",
        "/running",
        _has_list("running", "model", "state"),
        (
            Source("/running", formats.llamaswap, lists_loaded=True),
            Source("/upstream/{model}/v1/models", formats.llamacpp_models, loaded_only=True),
            Source("/upstream/{model}/props", formats.llamacpp_props, loaded_only=True),
        ),
        version_path="/api/version",
        unload=Unload("/api/models/unload/{model}", {}),
        larger_context="start its server with a context of {tokens} (`--ctx-size {tokens}`)",
    ),
    ServerKind(
        "LM Studio",
        "/api/v1/models",
        _has_list("models", "key", "loaded_instances"),
        (
            Source("/api/v1/models", formats.lmstudio),
            Source("/api/v0/models", formats.lmstudio_v0),
        ),
        unload=Unload(
            "/api/v1/models/unload", {"instance_id": "{model}"}, _instances, "/api/v1/models"
        ),
        load_path="/api/v1/models/load",
        larger_context=_LM_STUDIO_CONTEXT,
    ),
    ServerKind(
        "LM Studio",  # before 0.4
        "/api/v0/models",
        _has_list("data", "id", "state"),
        (Source("/api/v0/models", formats.lmstudio_v0),),
        larger_context=_LM_STUDIO_CONTEXT,
    ),
    ServerKind(
        "Ollama",
        "/api/ps",
        _has_list("models", "name"),
        (
            Source("/api/show", formats.ollama_show, posts_model=True),
            Source("/api/tags", formats.ollama_tags),
            Source("/api/ps", formats.ollama_ps, lists_loaded=True),
        ),
        version_path="/api/version",
        unload=Unload("/api/generate", {"model": "{model}", "keep_alive": 0}),
        larger_context="set OLLAMA_CONTEXT_LENGTH={tokens} for `ollama serve`",
    ),
    ServerKind(
        "llama.cpp",
        "/props",
        _has_any("build_info", "default_generation_settings"),
        (
            Source("/props?model={model}&autoload=false", formats.llamacpp_props),
            Source("/v1/models", formats.llamacpp_models),
        ),
        unload=Unload("/models/unload", {"model": "{model}"}),
        larger_context="start llama-server with `--ctx-size {tokens}` for each slot of --parallel",
    ),
    ServerKind(
        "SGLang",
        "/v1/models",
        _owned_by("sglang"),
        (
            Source("/get_server_info", formats.sglang),
            Source("/server_info", formats.sglang),
            Source("/v1/models", formats.max_model_len),
        ),
        larger_context="start SGLang with `--context-length {tokens}`",
    ),
    ServerKind(
        "vLLM",
        "/v1/models",
        _owned_by("vllm"),
        (Source("/v1/models", formats.max_model_len),),
        version_path="/version",
        larger_context="start vLLM with `--max-model-len {tokens}`",
    ),
)
