"""Servers and clients of others: llama.cpp with a real model, LiteLLM, OpenAI's client.

LLMBENCH_TEST_SERVERS names the folder that `.ci/servers` fills.
"""

import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import anyio
import httpx
import polars as pl
import pytest
from helpers.cli import LANGUAGES, environment, run, serving
from helpers.sandboxes import opened

from llmbench import problems
from llmbench.plan import bundled_dir
from llmbench.runners import load_runners

SERVERS = os.environ.get("LLMBENCH_TEST_SERVERS", "")
FILES = Path(__file__).parent.parent / "servers"
PROBLEM = "python-lru-ttl-cache"
KEY = "sk-of-the-tests"
START_SECONDS = 120

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.bubblewrap,
    pytest.mark.servers,
    pytest.mark.skipif(not SERVERS, reason="LLMBENCH_TEST_SERVERS is not set"),
]


def program(server: str, name: str) -> str:
    return str(Path(SERVERS, server, "bin", name))


def answer() -> str:
    """A correct answer with its reasoning, as a local model writes it."""
    (problem,) = (p for p in problems.load([bundled_dir("problems")], LANGUAGES) if p.id == PROBLEM)
    return f"<think>\nA dict keeps its order.\n</think>\n\n```python\n{problem.reference}```\n"


@contextmanager
def started(argv: Sequence[str], port: int, folder: Path) -> Iterator[str]:
    """Start a server and yield its address once it lists its models."""
    log = folder / "server.log"
    address = f"http://127.0.0.1:{port}/v1"
    with (
        log.open("wb") as out,
        subprocess.Popen(argv, cwd=folder, stdout=out, stderr=subprocess.STDOUT) as server,
    ):
        try:
            deadline = time.monotonic() + START_SECONDS
            while True:
                assert server.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                headers = {"Authorization": f"Bearer {KEY}"}
                try:
                    if httpx.get(f"{address}/models", headers=headers).is_success:
                        break
                except httpx.TransportError:
                    pass
                time.sleep(0.2)
            yield address
        finally:
            server.kill()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def llamacpp(folder: Path, *text: str) -> tuple[list[str], int]:
    """The command of a llama.cpp server whose model answers with a text, or endlessly."""
    python, script = program("llamacpp", "python"), str(FILES / "tiny_model.py")
    subprocess.run([python, script, "tiny.gguf", *text], cwd=folder, check=True)
    port = free_port()
    return [python, str(FILES / "serve_llamacpp.py"), "tiny.gguf", str(port)], port


@pytest.fixture(scope="module")
def llamacpp_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a llama.cpp server whose model gives a correct answer."""
    folder = tmp_path_factory.mktemp("llamacpp")
    (folder / "answer.md").write_text(answer())
    with started(*llamacpp(folder, "answer.md"), folder) as address:
        yield address


@pytest.fixture(scope="module")
def litellm_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a LiteLLM proxy with mock models."""
    folder = tmp_path_factory.mktemp("litellm")
    config = (FILES / "litellm.yaml").read_text().replace("@KEY@", KEY)
    config = config.replace('"@ANSWER@"', json.dumps(answer()))
    (folder / "config.yaml").write_text(config)
    port = free_port()
    flags = ["--config", "config.yaml", "--host", "127.0.0.1", "--port", str(port)]
    with started([program("litellm", "litellm"), *flags], port, folder) as address:
        yield address


async def run_llmbench(
    folder: Path, address: str, *flags: str, key: str = KEY
) -> tuple[int, str, Path]:
    async with opened("bubblewrap", load_runners(bundled_dir("runners"))):
        pass
    short = ["--only", PROBLEM, "--runs", "2", "--sandbox", "bubblewrap", "--out", "r.parquet"]
    env = environment(OPENAI_COMPATIBLE_API_KEY=key)
    ran = await run(folder, "--base-url", address, *short, *flags, env=env)
    return ran.code, ran.err, folder / "r.parquet"


async def test_the_answers_of_a_llama_cpp_model_are_timed_counted_and_graded(
    tmp_path: Path, llamacpp_url: str
) -> None:
    code, log, table = await run_llmbench(tmp_path, llamacpp_url, "--provider", "llamacpp")
    assert code == 0, log
    assert "asking tiny, the one chat model" in log
    rows = pl.read_parquet(table)
    assert rows["outcome"].to_list() == ["passed"] * 2
    assert rows["finish_reason"].to_list() == ["stop"] * 2
    assert rows["usage_source"].to_list() == ["server"] * 2
    assert (rows["ttfa_seconds"] > rows["ttft_seconds"]).all()  # it reasons first
    assert (rows["completion_tokens"] > 50).all()
    assert rows["timing_source"].to_list() == ["llama.cpp"] * 2
    assert rows["decode_tokens_per_second"].null_count() == 0
    assert (rows["decode_tokens_per_second"] > 0).all()
    assert (rows["chunks"] > 0).all()
    assert rows["model_reported"].to_list() == ["tiny"] * 2
    assert rows["quantization"].to_list() == ["F32"] * 2
    assert (rows["parameters"] > 100_000).all()
    assert rows["context_length"].to_list() == [8192] * 2
    assert rows["server"].str.starts_with("llama.cpp ").all()
    assert rows["has_reasoning"].all()


async def test_the_models_of_llama_cpp_are_listed(tmp_path: Path, llamacpp_url: str) -> None:
    ran = await run(
        tmp_path, "models", "--provider", "llamacpp", "--base-url", llamacpp_url, "--json"
    )
    assert ran.code == 0, ran.err
    (model,) = json.loads(ran.out)
    assert (model["id"], model["loaded"]) == ("tiny", True)
    assert model["served"]["quantization"] == "F32"


async def test_a_context_of_llama_cpp_that_is_too_small_is_a_warning(
    tmp_path: Path, llamacpp_url: str
) -> None:
    flags = ["--provider", "openai-compatible", "--max-tokens", "8000"]
    flags += ["--reasoning-effort", "none", "--label", "arm"]
    code, log, table = await run_llmbench(tmp_path, llamacpp_url, *flags)
    assert code == 0, log
    assert "tiny#arm: its context is 8192 tokens" in log
    assert "start llama-server with `--ctx-size 9216`" in log
    assert set(pl.read_parquet(table)["target"]) == {"openai-compatible/tiny#arm"}


async def test_an_endless_answer_is_cut_at_the_token_limit(tmp_path: Path) -> None:
    with started(*llamacpp(tmp_path), tmp_path) as address:
        flags = ["--provider", "llamacpp", "--max-tokens", "60", "--seed", "1"]
        code, log, table = await run_llmbench(tmp_path, address, *flags)
    assert code == 0, log
    rows = pl.read_parquet(table)
    assert rows["finish_reason"].to_list() == ["length"] * 2
    assert set(rows["outcome"]) <= {"truncated"}
    (journal,) = tmp_path.glob("_work/*/journal.jsonl")
    journal.read_bytes().decode("utf-8")  # although the answer has random bytes


async def test_a_prompt_that_does_not_fit_ends_only_its_attempts(
    tmp_path: Path, llamacpp_url: str
) -> None:
    flags = ["--provider", "llamacpp", "--max-tokens", "200000"]
    code, log, table = await run_llmbench(tmp_path, llamacpp_url, *flags)
    rows = pl.read_parquet(table)
    # The server shortens the answer or refuses; the test never counts as failed.
    assert set(rows["outcome"]) <= {"passed", "provider_error"}, log
    assert code in (0, 1)


async def test_mock_answers_of_litellm_are_graded_with_its_usage(
    tmp_path: Path, litellm_url: str
) -> None:
    flags = ["--provider", "openai-compatible", "--model", "right"]
    code, log, table = await run_llmbench(tmp_path, litellm_url, *flags)
    assert code == 0, log
    rows = pl.read_parquet(table)
    assert rows["outcome"].to_list() == ["passed"] * 2
    assert rows["usage_source"].to_list() == ["server"] * 2
    assert rows["ttft_seconds"].null_count() == 0


@pytest.mark.parametrize(
    ("model", "rows", "text"),
    [
        ("context", 2, "longer context"),
        ("nobody", 1, "Invalid model name passed in model=nobody"),
    ],
)
async def test_errors_of_litellm_are_classified(
    tmp_path: Path, litellm_url: str, model: str, rows: int, text: str
) -> None:
    flags = ["--provider", "openai-compatible", "--model", model, "--concurrency", "1"]
    code, log, table = await run_llmbench(tmp_path, litellm_url, *flags)
    assert code == 1
    table_ = pl.read_parquet(table)
    assert table_["outcome"].to_list() == ["provider_error"] * rows
    assert text in table_["log_head"][0]
    assert KEY not in log + table_["log_head"][0]


async def test_transient_errors_of_litellm_are_retried(tmp_path: Path, litellm_url: str) -> None:
    models = [flag for name in ("right", "limited", "broken") for flag in ("--model", name)]
    flags = ["--provider", "openai-compatible", *models, "--runs", "1"]
    code, log, table = await run_llmbench(tmp_path, litellm_url, *flags)
    assert code == 1  # two of three have no score
    rows = {row["model"]: row for row in pl.read_parquet(table).to_dicts()}
    for model, status in (("limited", "429"), ("broken", "500")):
        assert rows[model]["outcome"] == "provider_error"
        assert status in rows[model]["log_head"]
        assert "(after 5 tries)" in rows[model]["log_head"], log
        assert rows[model]["requests"] == 5
    assert rows["right"]["outcome"] == "passed"


async def test_a_wrong_key_is_reported_with_the_message_of_the_server(
    tmp_path: Path, litellm_url: str
) -> None:
    flags = ["--provider", "openai-compatible", "--model", "right"]
    code, _, table = await run_llmbench(tmp_path, litellm_url, *flags, key="sk-wrong")
    assert code == 1
    rows = pl.read_parquet(table)
    assert set(rows["outcome"]) == {"provider_error"}
    # Without a database LiteLLM knows its own key alone, and calls another a bad request.
    message = "HTTP 400: No connected db: check OPENAI_COMPATIBLE_API_KEY"
    assert message in rows["log_head"][0]
    assert "sk-wrong" not in rows["log_head"][0]


async def test_one_run_uses_both_servers(
    tmp_path: Path, llamacpp_url: str, litellm_url: str
) -> None:
    entries = {"near": {"base_url": llamacpp_url, "local": True}, "far": {"base_url": litellm_url}}
    (tmp_path / "llmbench.yaml").write_text(json.dumps({"providers": entries}))
    flags = ["--target", "near/tiny", "--target", "far/right"]
    async with opened("bubblewrap", load_runners(bundled_dir("runners"))):
        pass
    short = ["--only", PROBLEM, "--runs", "2", "--sandbox", "bubblewrap", "--out", "r.parquet"]
    env = environment(OPENAI_COMPATIBLE_API_KEY=KEY)
    ran = await run(tmp_path, *flags, *short, env=env)
    assert ran.code == 0, ran.err
    rows = pl.read_parquet(tmp_path / "r.parquet")
    assert sorted(rows["target"].to_list()) == ["far/right"] * 2 + ["near/tiny"] * 2
    assert rows["outcome"].to_list() == ["passed"] * 4


async def test_the_client_of_openai_reads_the_replay_server(tmp_path: Path) -> None:
    (problem,) = (p for p in problems.load([bundled_dir("problems")], LANGUAGES) if p.id == PROBLEM)
    script = FILES / "ask_with_openai.py"
    async with serving(tmp_path, "right") as server:
        done = await anyio.run_process(
            [program("litellm", "python"), str(script), server.base_url, "right", problem.prompt],
            check=False,
        )
    assert done.returncode == 0, done.stderr.decode()
    results = json.loads(done.stdout)
    assert results["models"] == ["right"]
    assert problem.reference
    assert problem.reference.strip() in results["text"]
    assert results["finish_reason"] == "stop"
    streamed = results["streamed"]
    assert (streamed["text"], streamed["finish_reason"]) == (results["text"], "stop")
    assert streamed["tokens"] == results["tokens"] > 0
