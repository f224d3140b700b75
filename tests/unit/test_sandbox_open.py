"""Opening of sandboxes: the kinds, their options, and the fallbacks of `auto`."""

import logging
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from pkgutil import resolve_name
from types import SimpleNamespace
from typing import Any

import pytest

from llmbench.errors import NoSandboxError, RunnerFileError, SandboxError, UsageError
from llmbench.runners import ResourceLimits, Runner, RunnerConfig
from llmbench.sandboxes.base import SandboxSpec
from llmbench.sandboxes.docker.container import DockerSandbox
from llmbench.sandboxes.docker.warm import WarmDockerSandbox
from llmbench.sandboxes.kinds import SANDBOX_KINDS, SANDBOX_OPTIONS, check_spec
from llmbench.sandboxes.local.bubblewrap import BubblewrapSandbox
from llmbench.sandboxes.local.process import ProcessSandbox
from llmbench.sandboxes.open import open_sandbox

CONFIG = RunnerConfig(
    title="Any",
    fences=("any",),
    solution="s",
    image="no-such-image-anywhere",
    report="junit",
    toolchain={"sh": None},
)
RUNNER = Runner("any", Path("/nowhere"), CONFIG, ResourceLimits())


class Openers:
    """Replacements of the ways to open, each of which works or fails."""

    def __init__(self, patch: pytest.MonkeyPatch, **errors: Exception | None) -> None:
        self.notes: list[str] = []
        for name, sandbox_type in {
            "docker": DockerSandbox,
            "docker-warm": WarmDockerSandbox,
            "bubblewrap": BubblewrapSandbox,
            "process": ProcessSandbox,
        }.items():
            patch.setattr(sandbox_type, "open", self._opener(name, errors.get(name)))

    def _opener(self, name: str, error: Exception | None) -> object:
        async def open_(*_: object) -> object:
            if error:
                raise error
            return SimpleNamespace(name=name)

        return open_

    async def open(self, spec: SandboxSpec | str, *, own_answers: bool = False) -> str:
        """Open a kind of sandbox; the name of the one that opened."""
        spec = SandboxSpec(spec) if isinstance(spec, str) else spec
        sandbox = await open_sandbox(
            spec, {}, run_id="r", own_answers=own_answers, notify=self.notes.append
        )
        return sandbox.name


NO_ENGINE = NoSandboxError("no engine")
NO_IMAGE = SandboxError("no image")
NO_BWRAP = NoSandboxError("no bwrap")


@pytest.mark.anyio
async def test_auto_is_docker_where_an_engine_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    openers = Openers(monkeypatch)
    assert await openers.open("auto") == "docker"
    assert openers.notes == []


@pytest.mark.anyio
async def test_auto_without_an_engine_is_bubblewrap_with_a_note(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    openers = Openers(monkeypatch, docker=NO_ENGINE)
    assert await openers.open("auto") == "bubblewrap"
    assert openers.notes == ["tests run under bubblewrap: no engine"]


@pytest.mark.anyio
async def test_auto_with_a_missing_image_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(SandboxError, match="no image"):
        await Openers(monkeypatch, docker=NO_IMAGE).open("auto")


@pytest.mark.anyio
async def test_recorded_answers_fall_back_to_bubblewrap_without_an_image(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    openers = Openers(monkeypatch, docker=NO_IMAGE)
    assert await openers.open("auto", own_answers=True) == "bubblewrap"
    assert openers.notes == ["tests run under bubblewrap: no image"]


@pytest.mark.anyio
async def test_generated_code_never_runs_unconfined(monkeypatch: pytest.MonkeyPatch) -> None:
    openers = Openers(monkeypatch, docker=NO_ENGINE, bubblewrap=NO_BWRAP)
    with pytest.raises(NoSandboxError, match="never run unconfined: no engine; no bwrap"):
        await openers.open("auto")


@pytest.mark.anyio
async def test_only_recorded_answers_run_as_plain_processes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    openers = Openers(monkeypatch, docker=NO_ENGINE, bubblewrap=NO_BWRAP)
    assert await openers.open("auto", own_answers=True) == "process"
    assert openers.notes == ["recorded answers run as plain processes: no engine; no bwrap"]


@pytest.mark.anyio
@pytest.mark.parametrize("kind", ["docker", "bubblewrap"])
async def test_an_explicit_kind_has_no_fallback(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    openers = Openers(monkeypatch, docker=NO_ENGINE, bubblewrap=NO_BWRAP)
    with pytest.raises(NoSandboxError):
        await openers.open(kind, own_answers=True)


@pytest.mark.anyio
async def test_the_error_without_an_engine_names_the_address(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    with pytest.raises(NoSandboxError, match=r"none\.sock \(DOCKER_HOST\): start Docker"):
        await DockerSandbox.open({"any": RUNNER}, "r")


@pytest.mark.anyio
async def test_a_missing_program_is_named_with_the_command_that_installs_it() -> None:
    config = replace(CONFIG, title="Odd", toolchain={"no-such-program": None})
    runner = replace(RUNNER, config=config)
    with pytest.raises(NoSandboxError, match=r"no-such-program \(for Odd\): pip install"):
        await ProcessSandbox.open({"odd": runner}, print)


@pytest.mark.anyio
async def test_options_of_an_engine_rule_out_the_fallback(monkeypatch: pytest.MonkeyPatch) -> None:
    openers = Openers(monkeypatch, **{"docker-warm": NO_ENGINE})
    with pytest.raises(NoSandboxError, match="no engine"):
        await openers.open(SandboxSpec(reuse_containers=True))
    assert await openers.open(SandboxSpec(runtime="runsc")) == "docker"


@pytest.mark.anyio
@pytest.mark.parametrize("kind", ["auto", "docker"])
async def test_reused_containers_are_another_sandbox(
    monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    spec = SandboxSpec(kind, reuse_containers=True)
    assert await Openers(monkeypatch).open(spec) == "docker-warm"


@pytest.mark.anyio
async def test_an_unknown_report_format_is_refused_before_a_sandbox_opens() -> None:
    runner = replace(RUNNER, config=replace(CONFIG, report="tap"))
    with pytest.raises(
        RunnerFileError, match=r"nowhere/runner\.yaml: report: 'tap' is not one of junit, gotest"
    ):
        await open_sandbox(
            SandboxSpec(), {"any": runner}, run_id="r", own_answers=False, notify=print
        )


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (SandboxSpec("vm"), "no sandbox 'vm': choose auto, docker, bubblewrap or dask"),
        (
            SandboxSpec("bubblewrap", reuse_containers=True),
            "--reuse-containers does not work with --sandbox bubblewrap: "
            "use --sandbox auto, docker or dask",
        ),
        (
            SandboxSpec("bubblewrap", runtime="runsc"),
            "--docker-runtime does not work with --sandbox bubblewrap: "
            "use --sandbox auto, docker or dask",
        ),
        (
            SandboxSpec("docker", reuse_containers=True, runtime="runsc"),
            "--reuse-containers does not work with --docker-runtime: leave out one of them",
        ),
        (
            SandboxSpec("docker", scheduler="tcp://a:1"),
            "--dask-scheduler does not work with --sandbox docker: use --sandbox dask",
        ),
        (
            SandboxSpec("dask"),
            "--sandbox dask needs --dask-scheduler: "
            "for example --dask-scheduler tcp://scheduler:8786",
        ),
    ],
)
def test_options_that_do_not_fit_the_kind_are_refused(spec: SandboxSpec, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_spec(spec)
    assert str(caught.value) == message


def test_every_function_of_the_table_exists() -> None:
    for kind in SANDBOX_KINDS.values():
        assert callable(resolve_name(kind.opener))
        assert kind.health is None or callable(resolve_name(kind.health))


def test_the_table_loads_no_slow_module() -> None:
    slow = "aiodocker distributed polars pydantic"
    code = (
        "import sys, llmbench.sandboxes.kinds; "
        f"sys.exit(', '.join(set({slow.split()}) & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stderr.strip() == ""


@pytest.mark.anyio
async def test_the_sandbox_that_opened_is_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="llmbench.sandboxes"):
        await Openers(monkeypatch, docker=NO_ENGINE).open("auto")
    assert "opened sandbox bubblewrap" in caplog.text


def test_every_option_of_a_kind_is_a_field_with_a_flag() -> None:
    fields = set(SandboxSpec.__dataclass_fields__) - {"kind"}
    assert set(SANDBOX_OPTIONS) == fields
    for kind in SANDBOX_KINDS.values():
        assert kind.required <= kind.options <= fields


@pytest.mark.anyio
async def test_a_fallback_is_a_warning_and_not_a_note_about_progress(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Openers(monkeypatch, docker=NO_ENGINE)
    notes: list[str] = []
    warnings: list[str] = []
    await open_sandbox(
        SandboxSpec(), {}, run_id="r", own_answers=False, notify=notes.append, warn=warnings.append
    )
    assert (notes, warnings) == ([], ["tests run under bubblewrap: no engine"])


@pytest.mark.anyio
async def test_recorded_answers_have_their_images_built_only_if_nothing_else_works(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    openers = Openers(monkeypatch, bubblewrap=NO_BWRAP, process=NoSandboxError("no node"))
    builds: list[bool] = []

    async def open_docker(*arguments: Any) -> object:
        builds.append(arguments[-1].build)
        if not builds[-1]:
            raise NO_IMAGE
        return SimpleNamespace(name="docker")

    monkeypatch.setattr(DockerSandbox, "open", open_docker)
    assert await openers.open("auto", own_answers=True) == "docker"
    assert builds == [False, True]
    with pytest.raises(NoSandboxError, match="no node"):
        await openers.open(SandboxSpec(no_build=True), own_answers=True)
