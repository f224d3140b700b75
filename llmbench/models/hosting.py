"""The models of a run in their servers: what is loaded, and how the servers describe it."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import anyio

from llmbench.errors import TargetError, UsageError
from llmbench.events import ignore
from llmbench.models.inspection import Inspector
from llmbench.models.protocols import PROTOCOLS
from llmbench.models.providers import machine_of
from llmbench.models.server import ModelInfo, Server
from llmbench.records import Target
from llmbench.served import UNDESCRIBED, ServedModel

logger = logging.getLogger(__name__)

CONTEXT_STEP = 1024
"""A context that llmbench recommends is a multiple of this."""


@dataclass(frozen=True, slots=True)
class Need:
    """The tokens that the longest request of a target takes; those of the prompt are estimated."""

    prompt: int
    answer: int

    @property
    def context(self) -> int:
        """The context that prompt and answer need, rounded up."""
        return -(-(self.prompt + self.answer) // CONTEXT_STEP) * CONTEXT_STEP


@dataclass
class Hosting:
    """Describes the models of a run, and unloads each local one before the next is asked.

    `info` and `warn` are called with lines for people. With `keep_loaded` nothing is unloaded for
    the sake of another model. `context` is the number of tokens that models are loaded with, or
    None for the server's own. `needs` are the tokens that each target takes, by its label; they are
    compared with the context of the model as it is loaded.
    """

    info: Callable[[str], None] = ignore
    warn: Callable[[str], None] = ignore
    keep_loaded: bool = False
    context: int | None = None
    needs: dict[str, Need] = field(default_factory=dict)
    _inspectors: dict[str, Inspector] = field(default_factory=dict)
    _local: set[str] = field(default_factory=set)
    _context_in_requests: set[str] = field(default_factory=set)
    _served: dict[str, ServedModel] = field(default_factory=dict)
    _observed: set[str] = field(default_factory=set)
    _warned: set[str] = field(default_factory=set)
    _latest: dict[str, Target] = field(default_factory=dict)
    _lock: anyio.Lock = field(default_factory=anyio.Lock)

    async def add(self, target: Target, server: Server, listed: ModelInfo | None) -> None:
        """Describe a target before it is asked; `listed` is its entry in the list of the server.

        Raises:
            UsageError: A context is asked for, and the server takes none.
        """
        provider = server.provider
        inspector = self._inspectors.setdefault(provider.name, Inspector(server))
        if provider.local:
            self._local.add(provider.name)
        if PROTOCOLS[provider.protocol].context_field:
            self._context_in_requests.add(provider.name)
        if self.context is not None and not await self._takes_context(provider.name):
            raise UsageError(
                f"--context: the server of {target.label} takes none from its clients",
                hint=await self._larger_context(provider.name, self.context) or "leave it out",
            )
        described = await inspector.describe(target.model)
        if described == UNDESCRIBED and listed is not None:
            described = ServedModel(context_length=listed.context, loaded=listed.loaded)
        self._served[target.label] = described

    def served(self, target: Target) -> ServedModel:
        """Return the description of a target as far as it is known now."""
        return self._served.get(target.label, UNDESCRIBED)

    def record(self) -> dict[str, dict[str, Any]]:
        """Return the descriptions of all targets by label, without missing values."""
        return {
            label: {name: value for name, value in asdict(served).items() if value is not None}
            for label, served in self._served.items()
        }

    async def check_contexts(self, needs: Mapping[str, Need]) -> None:
        """Warn of each target whose context is too small for its longest request."""
        self.needs.update(needs)
        for label in needs:
            await self._check_context(label)

    async def prepare(self, target: Target) -> None:
        """Load a local target with its context, in place of the one before on the same machine.

        Raises:
            TargetError: The server cannot load the model so.
        """
        machine = machine_of(target.base_url)
        if target.provider not in self._local or target is self._latest.get(machine):
            return
        async with self._lock:
            before = self._latest.get(machine)
            if before is target:
                return
            same = before and (before.base_url, before.model) == (target.base_url, target.model)
            if before and not same and not self.keep_loaded:
                await self._unload(before)
            if not same:
                await self._load(target)
            self._latest[machine] = target

    async def on_loaded(self, target: Target, seconds: float) -> None:
        """Describe a target whose model has just been loaded, or was found loaded."""
        before = self.served(target)
        if before.loaded is False:
            self._served[target.label] = replace(before, load_seconds=round(seconds, 3))
        await self.observe(target)

    async def observe(self, target: Target) -> None:
        """Describe a target once more, when its model is certain to be loaded."""
        label = target.label
        if label in self._observed or target.provider not in self._inspectors:
            return
        async with self._lock:
            if label in self._observed:
                return
            known = self.served(target)
            described = await self._inspectors[target.provider].describe(target.model)
            self._served[label] = described.or_else(known)
            self._observed.add(label)
        loaded = self._served[label].context_length
        if self.context is not None and loaded is not None and loaded < self.context:
            self.warn(f"{label}: loaded with a context of {loaded} tokens, not {self.context}")
        logger.debug("%s as loaded: %s", label, self._served[label])
        await self._check_context(label)

    async def _unload(self, target: Target) -> None:
        if await self._inspectors[target.provider].unload(target.model):
            self.info(f"unloaded {target.provider}/{target.model}")

    async def _load(self, target: Target) -> None:
        """Load a target with the context that is asked for, unless each request names it."""
        if self.context is None or target.provider in self._context_in_requests:
            return
        name = f"{target.provider}/{target.model}"
        seconds = await self._inspectors[target.provider].load(target.model, self.context)
        if seconds is None:
            raise TargetError(
                f"{name}: the server did not load it with a context of {self.context} tokens",
                hint="choose a smaller --context",
            )
        if seconds:
            self._served[target.label] = replace(
                self.served(target),
                context_length=self.context,
                loaded=True,
                load_seconds=round(seconds, 3),
            )
            self.info(f"loaded {name} with a context of {self.context} tokens")

    async def _takes_context(self, provider: str) -> bool:
        kind = await self._inspectors[provider].kind()
        loads = provider in self._local and kind is not None and bool(kind.load_path)
        return loads or provider in self._context_in_requests

    async def _larger_context(self, provider: str, tokens: int) -> str:
        """Return how people get a context of so many tokens."""
        if await self._takes_context(provider):
            return f"give --context {tokens}"
        kind = await self._inspectors[provider].kind()
        return "" if kind is None else kind.larger_context.format(tokens=tokens)

    async def _check_context(self, label: str) -> None:
        need, context = self.needs.get(label), self._served.get(label, UNDESCRIBED).context_length
        if self.context is not None and label not in self._observed:
            context = self.context  # it is not loaded so yet
        if need is None or context is None or label in self._warned:
            return
        if need.prompt + need.answer <= context:
            return
        self._warned.add(label)
        larger = await self._larger_context(label.partition("/")[0], need.context)
        advice = f"{larger}, or choose" if larger else "choose"
        self.warn(
            f"{label}: its context is {context} tokens, and the longest prompt (about "
            f"{need.prompt}) with --max-tokens {need.answer} needs more: {advice} a smaller "
            "--max-tokens"
        )
