"""The command `llmbench doctor`: the state of this machine, and fixes for its problems."""

import json
import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pkgutil import resolve_name

import anyio

from llmbench.cli.options.doctor import DoctorOptions
from llmbench.errors import LlmbenchError, UnreachableError
from llmbench.models import wsl
from llmbench.models.providers import PROVIDERS, Provider, read_key, resolve_base_url
from llmbench.models.server import connect
from llmbench.plan import RequestTimeouts
from llmbench.reports.console import Console
from llmbench.runners import Runner, load_all
from llmbench.sandboxes.diagnostics import Finding, State
from llmbench.sandboxes.kinds import SANDBOX_KINDS
from llmbench.texts import counted

_Check = Callable[[Mapping[str, Runner], bool], AsyncIterator[Finding]]

SERVER_SECONDS = 2.0
"""Longest wait for the connection to a local server, and for its model list."""


def main(options: DoctorOptions) -> int:
    """Check everything, print the findings, and return the exit code."""
    return anyio.run(_doctor, options)


async def _doctor(options: DoctorOptions) -> int:
    console = Console(quiet=False)
    by_kind = await _check_sandboxes(options)
    findings = [finding for each in by_kind.values() for finding in each]
    findings += [*await _check_servers(), _check_keys(os.environ)]
    usable = [kind for kind, each in by_kind.items() if _is_usable(each)]
    if options.format == "json":
        report = {"usable": usable, "findings": [asdict(finding) for finding in findings]}
        console.write(json.dumps(report, indent=2) + "\n")
    else:
        console.print(*_lines(findings))
        kinds = f"tests of every language can run in: {', '.join(usable)}"
        console.print(kinds if usable else "no sandbox serves every language: see above")
    return 0 if usable else 1


def _lines(findings: Sequence[Finding]) -> Iterator[str]:
    width = max(len(finding.part) for finding in findings)
    for finding in findings:
        yield f"{finding.state:7}  {finding.part:{width}}  {finding.detail}"
        if finding.fix:
            yield f"{'':7}  {'':{width}}  → {finding.fix}"


async def _check_sandboxes(options: DoctorOptions) -> dict[str, list[Finding]]:
    """The findings of each kind of sandbox that can be checked here."""
    runners = load_all(options.runner_paths)
    findings: dict[str, list[Finding]] = {}
    for name, kind in SANDBOX_KINDS.items():
        if kind.health is not None:
            check: _Check = resolve_name(kind.health)
            findings[name] = [finding async for finding in check(runners, options.fix)]
    return findings


def _is_usable(findings: Sequence[Finding]) -> bool:
    """True if a kind of sandbox with these findings serves every language."""
    return all(finding.state is State.OK for finding in findings if finding.required)


async def _check_servers() -> list[Finding]:
    """A finding for each provider of local models, in the order of the providers."""
    providers = [p for p in PROVIDERS.values() if p.local and p.base_url]
    findings: dict[str, Finding] = {}

    async def check(provider: Provider) -> None:
        findings[provider.name] = await check_server(provider)

    async with anyio.create_task_group() as tasks:
        for provider in providers:
            tasks.start_soon(check, provider)
    return [findings[provider.name] for provider in providers]


async def check_server(provider: Provider) -> Finding:
    """Return whether the server of a provider answers, and at which address."""
    part, notes = f"{provider.name} server", list[str]()
    url = resolve_base_url(provider)
    provider, address = await wsl.locate(provider, url, notes.append)
    timeouts = RequestTimeouts(connect=SERVER_SECONDS)
    try:
        with anyio.fail_after(2 * SERVER_SECONDS):
            key = read_key(provider)
            async with connect(provider, url, key, timeouts, address=address) as server:
                models = await server.list_models()
    except UnreachableError as error:
        return Finding(part, State.MISSING, error.message, error.hint)
    except LlmbenchError as error:
        return Finding(part, State.WRONG, error.message, error.hint)
    except TimeoutError:
        detail = f"the server at {url} does not answer"
        return Finding(part, State.WRONG, detail, provider.start_hint)
    return Finding(
        part,
        State.OK,
        "; ".join(
            [f"{address} offers {counted(len(models), 'chat model', 'chat models')}", *notes]
        ),
    )


def _check_keys(environ: Mapping[str, str]) -> Finding:
    """The names of the API keys that are set, never the keys."""
    names = [provider.key_env for provider in PROVIDERS.values() if provider.key_env]
    present = [name for name in names if environ.get(name, "").strip()]
    if present:
        return Finding("keys", State.OK, f"set: {', '.join(present)}")
    commercial = next(p.key_env for p in PROVIDERS.values() if p.key_env and not p.local)
    fix = f"for a commercial model: export {commercial}=…"
    return Finding("keys", State.MISSING, "none is set", fix)
