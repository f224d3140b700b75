"""Servers that this project did not write: llama.cpp with a real model, LiteLLM, OpenAI's client.

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
    pytest.mark.skipif(not SERVERS, reason="LLMBENCH_TEST_SERVERS is not set"),
]


def program(server: str, name: str) -> str:
    return str(Path(SERVERS, server, "bin", name))


def answer() -> str:
    """A right answer with its reasoning, as a local model gives it."""
    (found,) = (p for p in problems.load([bundled_dir("problems")], LANGUAGES) if p.id == PROBLEM)
    return f"<think>\nA dict keeps its order.\n</think>\n\n```python\n{found.reference}```\n"


@contextmanager
def started(argv: Sequence[str], port: int, folder: Path) -> Iterator[str]:
    """The address of a server once it lists its models."""
    log = folder / "server.log"
    address = f"http://127.0.0.1:{port}/v1"
    with (
        log.open("wb") as out,
        subprocess.Popen(argv, cwd=folder, stdout=out, stderr=subprocess.STDOUT) as server,
    ):
        try:
            until = time.monotonic() + START_SECONDS
            while True:
                assert server.poll() is None, log.read_text()
                assert time.monotonic() < until, log.read_text()
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
    """The command of a llama.cpp server with a model that says this text, or babbles."""
    python, script = program("llamacpp", "python"), str(FILES / "tiny_model.py")
    subprocess.run([python, script, "tiny.gguf", *text], cwd=folder, check=True)
    port = free_port()
    return [python, str(FILES / "serve_llamacpp.py"), "tiny.gguf", str(port)], port


@pytest.fixture(scope="module")
def speaking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A llama.cpp server whose model says a right answer."""
    folder = tmp_path_factory.mktemp("llamacpp")
    (folder / "answer.md").write_text(answer())
    with started(*llamacpp(folder, "answer.md"), folder) as address:
        yield address


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A LiteLLM proxy with mock models."""
    folder = tmp_path_factory.mktemp("litellm")
    config = (FILES / "litellm.yaml").read_text().replace("@KEY@", KEY)
    config = config.replace('"@ANSWER@"', json.dumps(answer()))
    (folder / "config.yaml").write_text(config)
    port = free_port()
    flags = ["--config", "config.yaml", "--host", "127.0.0.1", "--port", str(port)]
    with started([program("litellm", "litellm"), *flags], port, folder) as address:
        yield address


async def asked(folder: Path, address: str, *flags: str, key: str = KEY) -> tuple[int, str, Path]:
    async with opened("bubblewrap", load_runners(bundled_dir("runners"))):
        pass
    few = ["--only", PROBLEM, "--runs", "2", "--sandbox", "bubblewrap", "--out", "r.parquet"]
    env = environment(OPENAI_COMPATIBLE_API_KEY=key)
    ran = await run(folder, "--base-url", address, *few, *flags, env=env)
    return ran.code, ran.err, folder / "r.parquet"


async def test_a_model_in_llama_cpp_is_asked_timed_counted_and_graded(
    tmp_path: Path, speaking: str
) -> None:
    code, said, table = await asked(tmp_path, speaking, "--provider", "llamacpp")
    assert code == 0, said
    assert "asking tiny, the one chat model" in said
    rows = pl.read_parquet(table)
    assert rows["outcome"].to_list() == ["passed"] * 2
    assert rows["finish_reason"].to_list() == ["stop"] * 2
    assert rows["usage_source"].to_list() == ["server"] * 2
    assert (rows["ttfa_seconds"] > rows["ttft_seconds"]).all()  # it thinks first
    assert (rows["completion_tokens"] > 50).all()
    assert (rows["tokens_per_second"] > 0).all()
    assert rows["model_reported"].to_list() == ["tiny"] * 2


async def test_what_llama_cpp_offers_is_listed(tmp_path: Path, speaking: str) -> None:
    ran = await run(tmp_path, "models", "--provider", "llamacpp", "--base-url", speaking, "--json")
    assert ran.code == 0, ran.err
    (offer,) = json.loads(ran.out)
    assert (offer["id"], offer["loaded"]) == ("tiny", True)


async def test_a_model_that_babbles_is_cut_at_its_limit(tmp_path: Path) -> None:
    with started(*llamacpp(tmp_path), tmp_path) as address:
        flags = ["--provider", "llamacpp", "--max-tokens", "60", "--seed", "1"]
        code, said, table = await asked(tmp_path, address, *flags)
    assert code == 0, said
    rows = pl.read_parquet(table)
    assert rows["finish_reason"].to_list() == ["length"] * 2
    assert set(rows["outcome"]) <= {"truncated"}
    (journal,) = tmp_path.glob("_work/*/journal.jsonl")
    journal.read_bytes().decode("utf-8")  # whatever bytes it said


async def test_a_prompt_that_does_not_fit_ends_its_attempts_alone(
    tmp_path: Path, speaking: str
) -> None:
    flags = ["--provider", "llamacpp", "--max-tokens", "200000"]
    code, said, table = await asked(tmp_path, speaking, *flags)
    rows = pl.read_parquet(table)
    # It cuts what it may say, or refuses; never is that a failed test.
    assert set(rows["outcome"]) <= {"passed", "provider_error"}, said
    assert code in (0, 1)


async def test_mock_answers_of_litellm_are_graded_with_its_usage(
    tmp_path: Path, proxy: str
) -> None:
    flags = ["--provider", "openai-compatible", "--model", "right"]
    code, said, table = await asked(tmp_path, proxy, *flags)
    assert code == 0, said
    rows = pl.read_parquet(table)
    assert rows["outcome"].to_list() == ["passed"] * 2
    assert rows["usage_source"].to_list() == ["server"] * 2
    assert rows["ttft_seconds"].null_count() == 0


@pytest.mark.parametrize(
    ("model", "rows", "words"),
    [
        ("context", 2, "longer context"),
        ("nobody", 1, "Invalid model name passed in model=nobody"),
    ],
)
async def test_errors_of_litellm_are_sorted(
    tmp_path: Path, proxy: str, model: str, rows: int, words: str
) -> None:
    flags = ["--provider", "openai-compatible", "--model", model, "--concurrency", "1"]
    code, said, table = await asked(tmp_path, proxy, *flags)
    assert code == 1
    table_ = pl.read_parquet(table)
    assert table_["outcome"].to_list() == ["provider_error"] * rows
    assert words in table_["log_head"][0]
    assert KEY not in said + table_["log_head"][0]


async def test_passing_errors_of_litellm_are_tried_again(tmp_path: Path, proxy: str) -> None:
    models = [flag for name in ("right", "limited", "broken") for flag in ("--model", name)]
    flags = ["--provider", "openai-compatible", *models, "--runs", "1"]
    code, said, table = await asked(tmp_path, proxy, *flags)
    assert code == 1  # two of three have no score
    rows = {row["model"]: row for row in pl.read_parquet(table).to_dicts()}
    for model, words in (("limited", "429"), ("broken", "500")):
        assert rows[model]["outcome"] == "provider_error"
        assert words in rows[model]["log_head"]
        assert "(after 5 tries)" in rows[model]["log_head"], said
        assert rows[model]["requests"] == 5
    assert rows["right"]["outcome"] == "passed"


async def test_a_wrong_key_is_told_in_the_words_of_the_server(tmp_path: Path, proxy: str) -> None:
    flags = ["--provider", "openai-compatible", "--model", "right"]
    code, _, table = await asked(tmp_path, proxy, *flags, key="sk-wrong")
    assert code == 1
    rows = pl.read_parquet(table)
    assert set(rows["outcome"]) == {"provider_error"}
    # Without a database LiteLLM knows no key but its own, and calls that a bad request.
    told = "HTTP 400: No connected db.; check OPENAI_COMPATIBLE_API_KEY"
    assert told in rows["log_head"][0]
    assert "sk-wrong" not in rows["log_head"][0]


async def test_both_servers_are_asked_in_one_run(tmp_path: Path, speaking: str, proxy: str) -> None:
    entries = {"near": {"base_url": speaking, "local": True}, "far": {"base_url": proxy}}
    (tmp_path / "llmbench.yaml").write_text(json.dumps({"providers": entries}))
    flags = ["--target", "near/tiny", "--target", "far/right"]
    async with opened("bubblewrap", load_runners(bundled_dir("runners"))):
        pass
    few = ["--only", PROBLEM, "--runs", "2", "--sandbox", "bubblewrap", "--out", "r.parquet"]
    env = environment(OPENAI_COMPATIBLE_API_KEY=KEY)
    ran = await run(tmp_path, *flags, *few, env=env)
    assert ran.code == 0, ran.err
    rows = pl.read_parquet(tmp_path / "r.parquet")
    assert sorted(rows["target"].to_list()) == ["far/right"] * 2 + ["near/tiny"] * 2
    assert rows["outcome"].to_list() == ["passed"] * 4


async def test_the_client_of_openai_reads_our_own_server(tmp_path: Path) -> None:
    (found,) = (p for p in problems.load([bundled_dir("problems")], LANGUAGES) if p.id == PROBLEM)
    script = FILES / "ask_with_openai.py"
    async with serving(tmp_path, "right") as server:
        done = await anyio.run_process(
            [program("litellm", "python"), str(script), server.base_url, "right", found.prompt],
            check=False,
        )
    assert done.returncode == 0, done.stderr.decode()
    told = json.loads(done.stdout)
    assert told["models"] == ["right"]
    assert found.reference
    assert found.reference.strip() in told["text"]
    assert told["finish_reason"] == "stop"
    streamed = told["streamed"]
    assert (streamed["text"], streamed["finish_reason"]) == (told["text"], "stop")
    assert streamed["tokens"] == told["tokens"] > 0
