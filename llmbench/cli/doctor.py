"""`llmbench doctor`: what of this machine can be used, and what to do about the rest."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict

import anyio

from llmbench import config
from llmbench.cli.options.doctor import Options
from llmbench.cli.screen import Screen
from llmbench.config import TimeLimits
from llmbench.errors import LlmbenchError
from llmbench.models.presets import PRESETS, Preset, key_of
from llmbench.models.server import connect
from llmbench.sandboxes import engine_health, health
from llmbench.sandboxes.health import Finding, State
from llmbench.sandboxes.runners import Runner, load_runners

SERVER_SECONDS = 2.0
"""How long a local server may take to say what it offers."""


def main(options: Options) -> int:
    """Look at everything, tell it, and return the exit code."""
    return anyio.run(_doctor, options)


async def _doctor(options: Options) -> int:
    screen = Screen(quiet=False)
    runners = load_runners(config.shipped("runners"))
    found = [f async for f in engine_health.findings(runners, fix=options.fix)]
    found.append(await health.bubblewrap())
    found += [await health.toolchain(runner) for runner in runners.values()]
    found.append(health.set_ups(runners, fix=options.fix))
    found += await _servers()
    found.append(_keys(os.environ))
    usable = list(_usable(found, runners))
    if options.json:
        told = {"usable": usable, "findings": [asdict(finding) for finding in found]}
        screen.read([json.dumps(told, indent=2, ensure_ascii=False)])
    else:
        screen.say(*_lines(found))
        kinds = f"tests of every language can run in: {', '.join(usable)}"
        screen.say(kinds if usable else "no sandbox serves every language: see above")
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
    if "bubblewrap" in well and all(health.toolchain_part(lang) in well for lang in runners):
        yield "bubblewrap"


async def _servers() -> list[Finding]:
    """What is said of each local server, in the order of the presets."""
    local = [p for p in PRESETS.values() if p.local and p.base_url]
    found: dict[str, Finding] = {}

    async def ask(preset: Preset) -> None:
        found[preset.name] = await _server(preset)

    async with anyio.create_task_group() as tasks:
        for preset in local:
            tasks.start_soon(ask, preset)
    return [found[preset.name] for preset in local]


async def _server(preset: Preset) -> Finding:
    part = f"{preset.name} server"
    try:
        limits = TimeLimits(connect=SERVER_SECONDS)
        with anyio.fail_after(2 * SERVER_SECONDS):
            async with connect(preset, key=key_of(preset), limits=limits) as server:
                offers = await server.list_models()
    except LlmbenchError as error:
        said, _, todo = str(error).rpartition(": ")
        state = State.MISSING if str(error).startswith("cannot reach") else State.WRONG
        return Finding(part, state, said, todo)
    except TimeoutError:
        said = f"what listens at {preset.base_url} does not answer"
        return Finding(part, State.WRONG, said, preset.start_hint)
    return Finding(part, State.OK, f"{preset.base_url} offers {len(offers)} chat models")


def _keys(environ: Mapping[str, str]) -> Finding:
    """The names of the keys that are set."""
    names = [preset.key_env for preset in PRESETS.values() if preset.key_env]
    given = [name for name in names if environ.get(name, "").strip()]
    if given:
        return Finding("keys", State.OK, f"set: {', '.join(given)}")
    return Finding("keys", State.MISSING, "none is set", f"for a commercial model: {names[2]}=…")
