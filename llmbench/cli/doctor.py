"""`llmbench doctor`: what of this machine can be used, and what to do about the rest."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict

import anyio

from llmbench import plan
from llmbench.cli.options.doctor import DoctorOptions
from llmbench.errors import LlmbenchError, UnreachableError
from llmbench.models.providers import PROVIDERS, Provider, read_key
from llmbench.models.server import connect
from llmbench.plan import RequestTimeouts
from llmbench.reports.console import Console
from llmbench.runners import Runner, load_runners
from llmbench.sandboxes import diagnostics
from llmbench.sandboxes.diagnostics import Finding, State
from llmbench.sandboxes.docker import health as engine_health

SERVER_SECONDS = 2.0
"""How long a local server may take to say what it offers."""


def main(options: DoctorOptions) -> int:
    """Look at everything, tell it, and return the exit code."""
    return anyio.run(_doctor, options)


async def _doctor(options: DoctorOptions) -> int:
    console = Console(quiet=False)
    runners = load_runners(plan.bundled_dir("runners"))
    found = [f async for f in engine_health.findings(runners, fix=options.fix)]
    found.append(await diagnostics.bubblewrap())
    found += [await diagnostics.toolchain(runner) for runner in runners.values()]
    found.append(diagnostics.toolchain_cache(runners, fix=options.fix))
    found += await _servers()
    found.append(_keys(os.environ))
    usable = list(_usable(found, runners))
    if options.format == "json":
        told = {"usable": usable, "findings": [asdict(finding) for finding in found]}
        console.print_raw([json.dumps(told, indent=2, ensure_ascii=False)])
    else:
        console.print(*_lines(found))
        kinds = f"tests of every language can run in: {', '.join(usable)}"
        console.print(kinds if usable else "no sandbox serves every language: see above")
    return 0 if usable else 1


def _lines(found: Sequence[Finding]) -> Iterator[str]:
    width = max(len(finding.part) for finding in found)
    for finding in found:
        yield f"{finding.state:7}  {finding.part:{width}}  {finding.said}"
        if finding.todo:
            yield f"{'':7}  {'':{width}}  → {finding.todo}"


def _usable(found: Sequence[Finding], runners: Mapping[str, Runner]) -> Iterator[str]:
    """The sandboxes that serve every language."""
    well = {finding.part for finding in found if finding.state is State.OK}
    ill = {finding.part for finding in found if finding.state is not State.OK}
    if "engine" in well - ill and all(engine_health.image_part(lang) in well for lang in runners):
        yield "docker"
    if "bubblewrap" in well and all(diagnostics.toolchain_part(lang) in well for lang in runners):
        yield "bubblewrap"


async def _servers() -> list[Finding]:
    """What is said of each local server, in the order of the table."""
    local = [p for p in PROVIDERS.values() if p.local and p.base_url]
    found: dict[str, Finding] = {}

    async def ask(provider: Provider) -> None:
        found[provider.name] = await _server(provider)

    async with anyio.create_task_group() as tasks:
        for provider in local:
            tasks.start_soon(ask, provider)
    return [found[provider.name] for provider in local]


async def _server(provider: Provider) -> Finding:
    part = f"{provider.name} server"
    try:
        timeouts = RequestTimeouts(connect=SERVER_SECONDS)
        with anyio.fail_after(2 * SERVER_SECONDS):
            async with connect(provider, key=read_key(provider), timeouts=timeouts) as server:
                offers = await server.list_models()
    except LlmbenchError as error:
        said, _, todo = str(error).rpartition(": ")
        state = State.MISSING if isinstance(error, UnreachableError) else State.WRONG
        return Finding(part, state, said, todo)
    except TimeoutError:
        said = f"what listens at {provider.base_url} does not answer"
        return Finding(part, State.WRONG, said, provider.start_hint)
    return Finding(part, State.OK, f"{provider.base_url} offers {len(offers)} chat models")


def _keys(environ: Mapping[str, str]) -> Finding:
    """The names of the keys that are set."""
    names = [provider.key_env for provider in PROVIDERS.values() if provider.key_env]
    given = [name for name in names if environ.get(name, "").strip()]
    if given:
        return Finding("keys", State.OK, f"set: {', '.join(given)}")
    return Finding("keys", State.MISSING, "none is set", f"for a commercial model: {names[2]}=…")
