"""Images are built from runner folders by the command line of a real engine."""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from hashlib import sha256
from pathlib import Path

import anyio
import polars as pl
import pytest
import yaml
from helpers.cli import command, environment, run
from helpers.sandboxes import opened

from llmbench.plan import bundled_dir
from llmbench.runners import FILE, load_all, load_runners
from llmbench.sandboxes.docker.endpoints import find_endpoints

pytestmark = [pytest.mark.anyio, pytest.mark.docker]

LIKE = "python"
IMAGE = f"llmbench-test-{os.getpid()}"
DOCKERFILE = """\
ARG BASE=llmbench-python
FROM ${BASE}
COPY . /opt/runner
"""
PROBLEM = """\
- id: one
  lang: own
  prompt: "-"
  reference: "def f(): return 1"
  wrong_answers: {two: "def f(): return 2"}
  tests:
    test_it.py: |
      from solution import f
      def test_it(): assert f() == 1
"""


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Path]:
    """The folder of a language of one's own, whose image has a name of its own."""
    folder = tmp_path / "languages" / "own"
    shutil.copytree(bundled_dir("runners") / LIKE, folder)
    config = yaml.safe_load((folder / FILE).read_text())
    (folder / FILE).write_text(yaml.safe_dump({**config, "title": "Own", "image": IMAGE}))
    (folder / "Dockerfile").write_text(DOCKERFILE)
    (tmp_path / "problems.yaml").write_text(PROBLEM)
    yield folder
    docker("rmi", "--force", IMAGE)


def docker(*words: str) -> str:
    return subprocess.run(["docker", *words], capture_output=True, text=True).stdout


@asynccontextmanager
async def engine() -> AsyncIterator[None]:
    """Skip the test without an engine that has the image to build from."""
    async with opened("docker", {LIKE: load_all()[LIKE]}):
        yield


def flags(own: Path) -> list[str]:
    return ["--runners", str(own.parent), "--langs", "own"]


async def check(own: Path, *more: str) -> tuple[int, str, str]:
    """Check the problem of the language; exit code, stdout and stderr."""
    folder = own.parent.parent
    words = ["--problems", "problems.yaml", "--repeat", "1", "--sandbox", "docker", *more]
    ran = await run(folder, "problems", "check", *flags(own), *words)
    return ran.code, ran.out, ran.err


async def test_a_run_builds_an_image_once_and_reports_it(own: Path) -> None:
    async with engine():
        code, _, err = await check(own, "--no-build")
        assert code == 1
        build = f"llmbench images build --langs own --runners {own}"
        assert err == f"llmbench: the engine has no image {IMAGE}: {build}\n"
        code, out, err = await check(own)
        assert code == 0, err
        assert "1 of 1 problems are valid" in out
        assert f"the engine has no image {IMAGE}: it is built once" in err
        assert f"built {IMAGE} in " in err
        assert (await check(own))[2] == ""


async def test_an_image_of_another_state_of_its_folder_is_reported_by_a_run(own: Path) -> None:
    async with engine():
        ran = await run(own.parent, "images", "build", *flags(own))
        assert ran.code == 0, ran.err
        (own / "run.sh").write_text((own / "run.sh").read_text() + "# changed\n")
        code, _, err = await check(own)
        assert code == 0
        rebuild = f"to rebuild it: llmbench images build --langs own --runners {own}"
        changed = f"{IMAGE} was built from another state of {own}"
        assert err == f"llmbench: {changed}: {rebuild}\n"
        doctor = await run(own.parent, "doctor", "--runners", str(own), "--format", "json")
        (finding,) = [f for f in json.loads(doctor.out)["findings"] if f["part"] == "own image"]
        assert (finding["state"], finding["detail"]) == ("wrong", changed)
        await run(own.parent, "images", "build", *flags(own))
        assert (await check(own))[2] == ""


async def test_a_changed_limit_or_template_needs_no_other_image(own: Path) -> None:
    async with engine():
        assert (await run(own.parent, "images", "build", *flags(own))).code == 0
        with (own / FILE).open("a") as file:
            file.write("# a comment\n")
        (own / "authoring" / "note").write_text("x")
        assert (await check(own))[2] == ""


async def test_an_image_without_a_label_is_compared_by_its_files(own: Path) -> None:
    async with engine():
        docker("build", "-q", "-t", IMAGE, str(own))
        assert (await check(own))[2] == ""
        (own / "run.sh").write_text((own / "run.sh").read_text() + "# changed\n")
        assert f"another state of {own}: run.sh: to rebuild it" in (await check(own))[2]


async def test_a_failed_build_is_one_line_with_the_reason(own: Path) -> None:
    async with engine():
        with (own / "Dockerfile").open("a") as file:
            file.write("COPY no-such-file /\n")
        ran = await run(own.parent, "images", "build", *flags(own))
        assert ran.code == 1
        line = ran.err.splitlines()[-1]
        assert line.startswith(f"llmbench: {IMAGE} could not be built: ")
        assert "no-such-file" in line
        assert f"llmbench images build --langs own --runners {own}" in line


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=str)
async def test_a_signal_ends_a_build_with_all_its_processes(
    own: Path, number: signal.Signals
) -> None:
    async with engine():
        with (own / "Dockerfile").open("a") as file:
            file.write(f"RUN sleep 300 # {IMAGE} {number}\n")
        words = command("images", "build", *flags(own))
        async with await anyio.open_process(words, cwd=own.parent, stdout=None) as process:
            assert process.stderr is not None
            with anyio.fail_after(60):
                while not processes_with(IMAGE):
                    await anyio.sleep(0.1)
                await anyio.sleep(0.5)
                process.send_signal(number)
                assert await process.wait() == 130
                while processes_with(IMAGE):
                    await anyio.sleep(0.1)


def processes_with(word: str) -> list[str]:
    """Numbers of the processes whose command line has this word."""
    numbers = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if word.encode() in path.read_bytes():
                numbers.append(path.parent.name)
    return numbers


async def test_images_take_another_base_and_are_listed_and_removed(own: Path) -> None:
    async with engine():
        docker("tag", "llmbench-python", f"{IMAGE}-base")
        ran = await run(own.parent, "images", "build", *flags(own), "--base", f"own={IMAGE}-base")
        docker("rmi", f"{IMAGE}-base")
        assert ran.code == 0, ran.err
        assert f"BASE={IMAGE}-base" in ran.err
        listed = await run(own.parent, "images", "list", *flags(own))
        (row,) = [line.split() for line in listed.out.splitlines() if line.startswith("own")]
        assert row[1:3] == [IMAGE, "current"]
        removed = await run(own.parent, "images", "remove", *flags(own))
        assert (removed.code, removed.out) == (0, f"removed {IMAGE}\n")
        again = await run(own.parent, "images", "remove", *flags(own))
        assert (again.code, again.out) == (0, f"no image {IMAGE}\n")
        assert "missing" in (await run(own.parent, "images", "list", *flags(own))).out


async def test_without_an_action_images_are_listed(tmp_path: Path) -> None:
    async with engine():
        alone = await run(tmp_path, "images")
        assert (alone.code, alone.out) == (0, (await run(tmp_path, "images", "list")).out)
        some = await run(tmp_path, "images", "--langs", "python")
        assert some.out.split()[6:8] == ["python", "llmbench-python"]
    assert "ACTION" in (await run(tmp_path, "images", "--help")).out


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["build", "--langs", "cobol"], "--langs cobol: no such language: there are go, "),
        (["build", "--base", "cobol=x"], "--base cobol: no such language: there are go, "),
        (["build", "--base", "python"], "--base python: give LANGUAGE=IMAGE"),
        (["list", "--runners", "nowhere"], "nowhere: no runner here"),
    ],
)
async def test_wrong_usage_is_one_line(tmp_path: Path, words: list[str], error: str) -> None:
    ran = await run(tmp_path, "images", *words)
    assert ran.code == 2
    assert error in ran.err
    assert len(ran.err.splitlines()) == 1


async def test_a_context_of_docker_names_the_engine(own: Path, tmp_path: Path) -> None:
    async with engine():
        docker_folder = tmp_path / "docker"
        meta = docker_folder / "contexts/meta" / sha256(b"mine").hexdigest() / "meta.json"
        meta.parent.mkdir(parents=True)
        endpoint = {"docker": {"Host": find_endpoints()[0].url}}
        meta.write_text(json.dumps({"Name": "mine", "Metadata": {}, "Endpoints": endpoint}))
        (docker_folder / "config.json").write_text('{"currentContext": "mine"}')
        env = environment(DOCKER_CONFIG=str(docker_folder))
        env.pop("DOCKER_HOST", None)
        write_answers(own.parent.parent / "answers.jsonl")
        # The build goes through Docker's own command line, which must find the same engine.
        ran = await run(
            own.parent.parent, "grade", "answers.jsonl", "--problems", "problems.yaml",
            *flags(own), "--sandbox", "docker", "--out", "r.parquet",
            env=env,
        )  # fmt: skip
    assert ran.code == 0, ran.err
    assert f"built {IMAGE} in " in ran.err
    rows = pl.read_parquet(own.parent.parent / "r.parquet")
    assert rows["sandbox"].to_list() == ["docker", "docker"]
    assert rows["score"].to_list() == [100, 0]
    (record,) = (own.parent.parent / "_work").glob("*/run.json")
    versions = json.loads(record.read_text())["sessions"][0]["versions"]
    assert versions["own image"].startswith(f"{IMAGE}@sha256:")


def write_answers(path: Path) -> None:
    """Write a right answer and a wrong one."""
    texts = ("def f(): return 1", "def f(): return 2")
    lines = [json.dumps({"problem_id": "one", "answer": f"```python\n{t}\n```"}) for t in texts]
    path.write_text("\n".join(lines) + "\n")


def test_a_language_of_ones_own_replaces_a_bundled_one(own: Path) -> None:
    named = own.rename(own.with_name(LIKE))
    assert load_all([named])[LIKE].folder == named
    assert list(load_all([named])) == list(load_runners(bundled_dir("runners")))
