"""Which models a run asks: their servers opened, their lanes planned, their prices known."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from json import dumps

import anyio

from llmbench.cli.options.run import Options
from llmbench.demo import server as replay
from llmbench.errors import ModelError, TransientError, UnreachableError, UsageError
from llmbench.events import Listener, RetryScheduled
from llmbench.models.base import Model
from llmbench.models.limits import AdaptiveConcurrency, RateLimiter, ServerLimits
from llmbench.models.pricing import Price, find_price, read_prices
from llmbench.models.protocols import open_model
from llmbench.models.providers import (
    EMBEDDED,
    Provider,
    get_provider,
    load_providers,
    read_key,
    resolve_base_url,
)
from llmbench.models.retry import RetryPolicy
from llmbench.models.server import ModelInfo, Server, choose_model, connect
from llmbench.plan import EndpointPlan
from llmbench.records import Problem, Sampling, Target
from llmbench.reports.console import Console


@dataclass(slots=True)
class OpenTargets:
    """The models to ask: lane by lane, with the server of each provider and the price of each.

    `unreached` holds the fault of each provider that a resumed run may do without.
    """

    endpoints: tuple[EndpointPlan, ...] = ()
    servers: dict[str, Server] = field(default_factory=dict)
    unreached: dict[str, ModelError] = field(default_factory=dict)
    prices: dict[str, Price] = field(default_factory=dict)
    warm_up: bool = True

    def model(self, target: Target, emit: Listener) -> Model:
        """Return a target's model, which emits an event before each retry."""
        server = self.servers[target.provider]

        def notify(seconds: float, error: TransientError) -> None:
            emit(RetryScheduled(target.label, seconds, error.retry_after, error.reason))

        return open_model(
            target,
            server,
            RetryPolicy(notify=notify),
            self.prices.get(target.label),
            warm_up=self.warm_up and server.provider.local,
        )

    def check_reached(self, labels: Collection[str]) -> None:
        """Raise the fault of a server that cannot be reached if one of these targets is there."""
        for target in (target for endpoint in self.endpoints for target in endpoint.targets):
            if target.label in labels and target.provider in self.unreached:
                raise self.unreached[target.provider]

    def slots(self, endpoint: EndpointPlan) -> anyio.CapacityLimiter:
        """What bounds the answers that stream at once in a lane."""
        return self.servers[endpoint.targets[0].provider].limiter.slots


@dataclass(frozen=True, slots=True)
class LimiterRegistry:
    """The limit of each address in a run; `paces`, those of the runs before it, go on."""

    paces: dict[str, RateLimiter]
    _here: dict[str, AdaptiveConcurrency] = field(default_factory=dict)

    def of(self, address: str, provider: Provider) -> AdaptiveConcurrency:
        """The limit of an address, whatever providers have it: that of the first."""
        if address not in self._here:
            allowed = ServerLimits(provider.concurrency, provider.rpm, provider.tpm)
            pace = self.paces.setdefault(address, RateLimiter())
            self._here[address] = AdaptiveConcurrency(
                provider.name, allowed, local=provider.local, rate_limiter=pace
            )
        return self._here[address]


def with_recorded_answers(options: Options, problems: Sequence[Problem]) -> list[Problem]:
    """All problems, or for the demo those of them to which it has recorded answers.

    Raises:
        UsageError: it has none to any of them.
    """
    providers = load_providers(options.config)
    names = list(_wanted(options))
    if not all(get_provider(name, providers).replays for name in names):
        return list(problems)
    recordings = replay.load_recordings(replay.RECORDINGS, problems).values()
    ids = {id_ for recording in recordings for id_ in recording.answers}
    if not ids:
        raise UsageError(
            f"--provider {names[0]}: no answer is recorded to {problems[0].id}"
            + f" or the other {len(problems) - 1} problems" * (len(problems) > 1)
        )
    return [problem for problem in problems if problem.id in ids]


@asynccontextmanager
async def open_targets(
    options: Options, problems: Sequence[Problem], console: Console, paces: dict[str, RateLimiter]
) -> AsyncIterator[OpenTargets]:
    """Open the server of each provider, and find out what to ask there.

    `paces` are those of each address so far, for this run and the next.

    Raises:
        UsageError: a provider, address, key, model or price is missing or wrong.
        ModelError: a server cannot be reached.
    """
    providers = load_providers(options.config)
    given = read_prices(options.prices) if options.prices else {}
    targets = OpenTargets(warm_up=options.warm_up)
    endpoints: dict[str, EndpointPlan] = {}
    traffics = LimiterRegistry(paces)
    async with AsyncExitStack() as stack:
        for name, models in _wanted(options).items():
            provider = _with_flags(get_provider(name, providers), options)
            url = options.base_url if name == options.provider else None
            server = await _enter(stack, provider, url, problems, options, traffics)
            targets.servers[name] = server
            try:
                offers = await _offered(server, needed=not models)
            except ModelError as error:
                if options.resume is None or not models:
                    raise
                targets.unreached[name], offers = error, []
            asked = [
                _target(server, model, options)
                for model in _models(server, models, offers, console)
            ]
            targets.prices |= _prices(asked, given, offers, options)
            endpoint = endpoints.get(server.base_url)
            if endpoint is None:
                endpoint = EndpointPlan((), provider.concurrency, provider.local, provider.replays)
            endpoints[server.base_url] = replace(endpoint, targets=(*endpoint.targets, *asked))
        targets.endpoints = tuple(endpoints.values())
        yield targets


def _wanted(options: Options) -> Mapping[str, list[str]]:
    """The models to ask of each provider; where none is named, the only one that it offers."""
    wanted: dict[str, list[str]] = {}
    if options.models or not options.targets:
        wanted[options.provider] = list(options.models)
    for target in options.targets:
        provider, _, model = target.partition("/")
        if not model:
            raise UsageError(f"--target {target}: give PROVIDER/MODEL")
        wanted.setdefault(provider, []).append(model)
    return {provider: list(dict.fromkeys(models)) for provider, models in wanted.items()}


def _with_flags(provider: Provider, options: Options) -> Provider:
    """A provider with the limits that flags give to all."""
    return replace(
        provider,
        concurrency=options.concurrency or provider.concurrency,
        rpm=options.rpm or provider.rpm,
        tpm=options.tpm or provider.tpm,
    )


async def _enter(
    stack: AsyncExitStack,
    provider: Provider,
    url: str | None,
    problems: Sequence[Problem],
    options: Options,
    traffics: LimiterRegistry,
) -> Server:
    """The server to ask; for the demo, one of our own that replays recorded answers."""
    key = None
    if provider.replays:
        url = (await stack.enter_async_context(replay.serve(problems))).base_url
    else:
        key = read_key(provider)
    limiter = traffics.of(resolve_base_url(provider, url), provider)
    server = connect(provider, url, key, options.limits, limiter)
    return await stack.enter_async_context(server)


def _target(server: Server, model: str, options: Options) -> Target:
    provider = server.provider
    # The recorded answer to run n is chosen by the seed, which makes a demo repeatable.
    seed = 1 if provider.replays and options.seed is None else options.seed
    sampling = Sampling(options.max_tokens, options.temperature, seed)
    address = EMBEDDED if provider.replays else server.base_url
    return Target(provider.name, model, address, sampling, dumps(provider.extra, sort_keys=True))


def _prices(
    targets: Sequence[Target],
    given: Mapping[str, Price],
    offers: Sequence[ModelInfo],
    options: Options,
) -> dict[str, Price]:
    """The price of each target that has one, by label.

    Raises:
        UsageError: the cost is to be bounded and a target has none.
    """
    offered = {offer.id: offer.price for offer in offers if offer.price is not None}
    prices = {}
    for target in targets:
        price = find_price(target, given, offered)
        if price is not None:
            prices[target.label] = price
        elif options.max_cost is not None:
            raise UsageError(
                f"--max-cost: the price of {target.label} is not known: give it in --prices FILE"
            )
    return prices


def _models(
    server: Server, named: Sequence[str], offers: Sequence[ModelInfo], console: Console
) -> Sequence[str]:
    """The models named, or the only one there is."""
    offered = [offer.id for offer in offers]
    if server.provider.replays and not named:
        return offered
    if named:
        return named
    model = choose_model(offered, server.base_url)
    console.info(f"asking {model}, the one chat model that {server.base_url} offers")
    return [model]


async def _offered(server: Server, *, needed: bool) -> list[ModelInfo]:
    """What the server offers: it is asked in any case, to know that it is there."""
    try:
        return await server.list_models()
    except ModelError as error:
        # Not every server lists its models; one that cannot be reached has no use at all.
        if needed or isinstance(error, UnreachableError):
            raise
        return []
