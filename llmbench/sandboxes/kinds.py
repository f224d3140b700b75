"""The kinds of sandboxes: a table that flags, checks and `doctor` read.

A new kind is a function that opens it and a row here. Functions are named by text and imported
when they are called, so that `--help` stays fast.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from llmbench.errors import UsageError
from llmbench.sandboxes.base import SandboxSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxKind:
    """One value of `--sandbox`.

    Functions are named as `module:function`. `opener` takes an `OpenRequest` and returns the open
    sandbox. `missing_parts` yields a line for each part that a run would build. `health` yields
    the findings of `doctor` on this machine, if the kind needs any.
    `options` are the fields of `SandboxSpec` that the kind takes, and `required` those that it
    cannot do without. `extra` is the extra of llmbench to install. `max_sandboxes` is the usual
    number of test runs at once; None is one for each core. `remote` means that tests run on other
    machines.
    """

    help: str
    opener: str
    health: str | None = None
    missing_parts: str | None = None
    options: frozenset[str] = frozenset()
    required: frozenset[str] = frozenset()
    extra: str | None = None
    max_sandboxes: int | None = None
    remote: bool = False


@dataclass(frozen=True, slots=True)
class SandboxOption:
    """The flag of a field of `SandboxSpec`, an example of its value, and fields it excludes."""

    flag: str
    example: str = ""
    excludes: frozenset[str] = frozenset()


SANDBOX_OPTIONS: Mapping[str, SandboxOption] = {
    # Under gVisor, memory exhausted in a reused container was seen to end as a timeout.
    "reuse_containers": SandboxOption("--reuse-containers", excludes=frozenset({"runtime"})),
    "runtime": SandboxOption("--docker-runtime", "runsc"),
    "no_build": SandboxOption("--no-build"),
    "scheduler": SandboxOption("--dask-scheduler", "tcp://scheduler:8786"),
}

_ENGINE_OPTIONS = frozenset({"reuse_containers", "runtime", "no_build"})

SANDBOX_KINDS: Mapping[str, SandboxKind] = {
    "auto": SandboxKind(
        help="Docker or Podman if an engine answers, else bubblewrap",
        opener="llmbench.sandboxes.local_kinds:open_auto",
        missing_parts="llmbench.sandboxes.docker.preview:missing_parts",
        options=_ENGINE_OPTIONS,
    ),
    "docker": SandboxKind(
        help="containers of Docker or Podman",
        opener="llmbench.sandboxes.local_kinds:open_docker",
        missing_parts="llmbench.sandboxes.docker.preview:missing_parts",
        health="llmbench.sandboxes.docker.health:findings",
        options=_ENGINE_OPTIONS,
    ),
    "bubblewrap": SandboxKind(
        help="processes of this machine in namespaces of their own",
        opener="llmbench.sandboxes.local_kinds:open_bubblewrap",
        health="llmbench.sandboxes.local.health:findings",
    ),
    "dask": SandboxKind(
        help="the best sandbox of each worker of a Dask cluster",
        opener="llmbench.sandboxes.dask.sandbox:DaskSandbox.open",
        options=_ENGINE_OPTIONS | {"scheduler"},
        required=frozenset({"scheduler"}),
        extra="dask",
        # The threads of the workers are the real limit.
        max_sandboxes=1000,
        remote=True,
    ),
}


def check_spec(spec: SandboxSpec) -> SandboxKind:
    """Return the kind of a sandbox if its options fit.

    Raises:
        UsageError: the kind is unknown, takes no such option or lacks a required one, or two
            options exclude each other.
    """
    if spec.kind not in SANDBOX_KINDS:
        raise UsageError(f"no sandbox {spec.kind!r}", hint=f"choose {_one_of(SANDBOX_KINDS)}")
    kind = SANDBOX_KINDS[spec.kind]
    for name, option in SANDBOX_OPTIONS.items():
        if not getattr(spec, name):
            if name in kind.required:
                raise UsageError(
                    f"--sandbox {spec.kind} needs {option.flag}",
                    hint=f"for example {option.flag} {option.example}",
                )
            continue
        if name not in kind.options:
            kinds = [key for key, each in SANDBOX_KINDS.items() if name in each.options]
            raise UsageError(
                f"{option.flag} does not work with --sandbox {spec.kind}",
                hint=f"use --sandbox {_one_of(kinds)}",
            )
        for excluded in option.excludes:
            if getattr(spec, excluded):
                other = SANDBOX_OPTIONS[excluded]
                raise UsageError(
                    f"{option.flag} does not work with {other.flag}", hint="leave out one of them"
                )
    return kind


def _one_of(names: Iterable[str]) -> str:
    """The names in a sentence: "a, b or c"."""
    *first, last = names
    return f"{', '.join(first)} or {last}" if first else last
