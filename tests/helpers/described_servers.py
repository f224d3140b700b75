"""Servers that describe their models, with answers in the form of each server's documentation."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from helpers.scripted_server import SHORT, Script, ScriptedServer, serving
from llmbench.models.server import Server

JSON = "application/json"

LM_STUDIO_V0 = {
    "object": "list",
    "data": [
        {
            "id": "qwen2.5-coder-7b",
            "object": "model",
            "type": "llm",
            "publisher": "lmstudio-community",
            "arch": "qwen2",
            "compatibility_type": "gguf",
            "quantization": "Q4_K_M",
            "state": "loaded",
            "max_context_length": 32768,
            "loaded_context_length": 4096,
        },
        {
            "id": "phi-4",
            "object": "model",
            "type": "llm",
            "arch": "phi3",
            "quantization": "4bit",
            "state": "not-loaded",
            "max_context_length": 16384,
        },
    ],
}
LM_STUDIO = {
    "models": [
        {
            "type": "llm",
            "publisher": "lmstudio-community",
            "key": "qwen2.5-coder-7b",
            "display_name": "Qwen2.5 Coder 7B",
            "architecture": "qwen2",
            "quantization": {"name": "Q4_K_M", "bits_per_weight": 4},
            "size_bytes": 4683073536,
            "params_string": "7.6B",
            "loaded_instances": [
                {"id": "qwen2.5-coder-7b", "config": {"context_length": 4096}},
                {"id": "qwen2.5-coder-7b:2", "config": {"context_length": 8192}},
            ],
            "max_context_length": 32768,
            "format": "gguf",
            "capabilities": {"vision": False, "trained_for_tool_use": True},
            "description": None,
        },
        {
            "type": "llm",
            "publisher": "qwen",
            "key": "qwen3-30b-a3b",
            "architecture": "qwen3moe",
            "quantization": None,
            "size_bytes": 18_000_000_000,
            "params_string": "30B-A3B",
            "loaded_instances": [],
            "max_context_length": 131072,
            "format": "mlx",
        },
    ]
}
_OLLAMA_DETAILS = {
    "parent_model": "",
    "format": "gguf",
    "family": "llama",
    "families": ["llama"],
    "parameter_size": "7.2B",
    "quantization_level": "Q4_0",
}
OLLAMA_PS = {
    "models": [
        {
            "name": "mistral:latest",
            "model": "mistral:latest",
            "size": 6_000_000_000,
            "digest": "2ae6f6dd7a3d",
            "details": _OLLAMA_DETAILS,
            "expires_at": "2024-06-04T14:38:31.83753-07:00",
            "size_vram": 4_500_000_000,
            "context_length": 4096,
        }
    ]
}
OLLAMA_TAGS = {
    "models": [
        {
            "name": "mistral:latest",
            "model": "mistral:latest",
            "modified_at": "2025-10-03T23:34:03.409490317-07:00",
            "size": 4_113_301_824,
            "digest": "2ae6f6dd7a3d",
            "details": _OLLAMA_DETAILS,
        },
        {"name": "phi4:14b", "model": "phi4:14b", "size": 9_053_116_391, "details": {}},
    ]
}
OLLAMA_SHOW = {
    "modelfile": "FROM mistral",
    "parameters": "stop [INST]",
    "template": "{{ .Prompt }}",
    "details": _OLLAMA_DETAILS,
    "model_info": {
        "general.architecture": "llama",
        "general.file_type": 2,
        "general.parameter_count": 7_241_732_096,
        "llama.context_length": 32768,
    },
    "capabilities": ["completion", "tools"],
}
LLAMA_CPP_PROPS = {
    "default_generation_settings": {"params": {"temperature": 0.8}, "n_ctx": 8192},
    "total_slots": 4,
    "model_alias": "tiny",
    "model_ftype": "Q4_K - Medium",
    "model_path": "/models/Qwen3-8B-Q4_K_M.gguf",
    "chat_template": "{% for message in messages %}{% endfor %}",
    "build_info": "b6103-a1b2c3d4",
}
LLAMA_CPP_MODELS = {
    "models": [{"name": "tiny", "model": "tiny", "details": {"format": "gguf"}}],
    "object": "list",
    "data": [
        {
            "id": "tiny",
            "object": "model",
            "owned_by": "llamacpp",
            "meta": {
                "vocab_type": 2,
                "n_ctx": 32768,
                "n_ctx_train": 40960,
                "n_embd": 4096,
                "n_params": 8_190_735_360,
                "size": 5_023_000_000,
                "ftype": "Q4_K - Medium",
            },
        }
    ],
}
ROUTER_MODELS = {
    "object": "list",
    "data": [
        {"id": "ggml-org/gemma-3-4b-it-GGUF:Q4_K_M", "status": {"value": "loaded"}},
        {"id": "qwen3-8b", "status": {"value": "unloaded"}},
    ],
}
VLLM_MODELS = {
    "object": "list",
    "data": [
        {
            "id": "Qwen/Qwen3-8B-AWQ",
            "object": "model",
            "owned_by": "vllm",
            "root": "Qwen/Qwen3-8B-AWQ",
            "parent": None,
            "max_model_len": 16384,
        }
    ],
}
SGLANG_MODELS = {
    "object": "list",
    "data": [{"id": "default", "owned_by": "sglang", "root": "default", "max_model_len": 40960}],
}
SGLANG_INFO = {
    "model_path": "Qwen/Qwen3-8B",
    "quantization": "fp8",
    "context_length": None,
    "max_total_num_tokens": 71290,
    "version": "0.5.4",
    "internal_states": [{"last_gen_throughput": 0.0}],
}
RUNNING = {
    "running": [
        {"model": "qwen", "state": "ready", "cmd": "llama-server", "proxy": "http://localhost:5800"}
    ]
}
SWAP_VERSION = {"version": "v216", "commit": "0bdb3720", "build_date": "2026-08-22"}
SWAP_MODELS = {"object": "list", "data": [{"id": "qwen"}, {"id": "phi"}]}

Routes = Mapping[str, Any]

SERVERS: Mapping[str, Routes] = {
    "lmstudio": {"/api/v1/models": LM_STUDIO, "/api/v0/models": LM_STUDIO_V0},
    "lmstudio before 0.4": {
        "/api/v0/models": LM_STUDIO_V0,
        "/api/v1/models": {"error": "Unexpected endpoint or method."},
    },
    "ollama": {
        "/api/version": {"version": "0.12.3"},
        "/api/ps": OLLAMA_PS,
        "/api/tags": OLLAMA_TAGS,
        "/api/show": OLLAMA_SHOW,
    },
    "llamacpp": {"/props": LLAMA_CPP_PROPS, "/v1/models": LLAMA_CPP_MODELS},
    "vllm": {"/v1/models": VLLM_MODELS, "/version": {"version": "0.11.0"}},
    "sglang": {"/v1/models": SGLANG_MODELS, "/get_server_info": SGLANG_INFO},
    "llama-swap": {
        "/running": RUNNING,
        "/api/version": SWAP_VERSION,
        "/v1/models": SWAP_MODELS,
        "/upstream/qwen/props": LLAMA_CPP_PROPS,
        "/upstream/qwen/v1/models": LLAMA_CPP_MODELS,
    },
}


@dataclass
class RoutedServer(ScriptedServer):
    """Answers each path with its JSON, or with a script; other paths are not found."""

    routes: dict[str, Any] = field(default_factory=dict)

    @property
    def paths(self) -> list[str]:
        """Method and path of each request so far."""
        return [" ".join(head.split(" ")[:2]) for head in self.heads]

    def choose(self, _: dict[str, Any]) -> Script:
        """Return the script for the path of the request."""
        path = self.heads[-1].split(" ")[1].partition("?")[0]
        if path not in self.routes:
            return Script([b'{"error": "not found"}'], 404, JSON)
        answer = self.routes[path]
        return answer if isinstance(answer, Script) else Script([json.dumps(answer).encode()])


@asynccontextmanager
async def routed(
    routes: Routes, provider: str = "openai-compatible"
) -> AsyncIterator[tuple[RoutedServer, Server]]:
    """Yield a server with these routes, and a client of it."""
    server = RoutedServer([], routes=dict(routes))
    async with serving(server, SHORT, None, provider) as client:
        yield server, client
