"""The targets of a run: providers opened, their models and prices."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from json import dumps, loads

import anyio

from llmbench.demo import server as replay
from llmbench.errors import ModelError, TransientError, UnreachableError, UsageError
from llmbench.events import Listener, RetryScheduled
from llmbench.models import wsl
from llmbench.models.base import Model
from llmbench.models.extra_fields import with_fields
from llmbench.models.hosting import Hosting
from llmbench.models.limits import AdaptiveConcurrency, RateLimiter, ServerLimits
from llmbench.models.price_list import listed_price
from llmbench.models.pricing import MILLION, Price, find_price, read_prices
from llmbench.models.protocols import PROTOCOLS, open_model
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
from llmbench.records import Problem, Target
from llmbench.reports.console import Console
from llmbench.runs.alternatives import alternatives
from llmbench.runs.request_options import ModelOptions, RequestOptions


@dataclass(slots=True)
class OpenTargets:
    """The targets of a run by endpoint, with their servers and prices.

    `unreached` holds the error of each provider that a resumed run may do without.
    """

    endpoints: tuple[EndpointPlan, ...] = ()
    servers: dict[str, Server] = field(default_factory=dict)
    unreached: dict[str, ModelError] = field(default_factory=dict)
    prices: dict[str, Price] = field(default_factory=dict)
    warm_up: bool = True
    hosting: Hosting = field(default_factory=Hosting)

    def open_model(self, target: Target, emit: Listener) -> Model:
        """Return the client of a target, which emits an event before each retry."""
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
        """Raise the error of a server that was not reached if one of these targets needs it.

        Raises:
            ModelError: that error.
        """
        for target in (target for endpoint in self.endpoints for target in endpoint.targets):
            if target.label in labels and target.provider in self.unreached:
                raise self.unreached[target.provider]

    def price_record(self) -> dict[str, dict[str, object]]:
        """Return the price of each target that has one, in USD per million tokens."""
        return {
            label: {
                "prompt": price.prompt * MILLION,
                "completion": price.completion * MILLION,
                "cached": None if price.cached is None else price.cached * MILLION,
                "request": price.request,
                "source": price.source,
            }
            for label, price in self.prices.items()
        }

    def slots(self, endpoint: EndpointPlan) -> anyio.CapacityLimiter:
        """Return the limiter of the answers that stream at once at an endpoint."""
        return self.servers[endpoint.targets[0].provider].limiter.slots


@dataclass(frozen=True, slots=True)
class LimiterRegistry:
    """The limiter of each server address in a run.

    `rate_limiters` are those of earlier runs by address: a server's minute goes on between runs.
    """

    rate_limiters: dict[str, RateLimiter]
    _limiters: dict[str, AdaptiveConcurrency] = field(default_factory=dict)

    def get(self, address: str, provider: Provider) -> AdaptiveConcurrency:
        """Return the limiter for a server address.

        Providers that share an address share the limiter of the first.
        """
        if address not in self._limiters:
            limits = ServerLimits(provider.concurrency, provider.rpm, provider.tpm)
            rate_limiter = self.rate_limiters.setdefault(address, RateLimiter())
            self._limiters[address] = AdaptiveConcurrency(
                provider.name, limits, local=provider.local, rate_limiter=rate_limiter
            )
        return self._limiters[address]


def with_recorded_answers(options: ModelOptions, problems: Sequence[Problem]) -> list[Problem]:
    """Return all problems, or only those with recorded answers if every provider replays.

    Raises:
        UsageError: no answer to any of the problems is recorded.
    """
    providers = load_providers(options.config)
    names = list(_requested_models(options))
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
    options: RequestOptions,
    problems: Sequence[Problem],
    console: Console,
    rate_limiters: dict[str, RateLimiter],
    resuming: bool = False,
) -> AsyncIterator[OpenTargets]:
    """Open the server of each provider, and choose its models.

    A run that is resumed may do without a server if its models are named.

    Raises:
        UsageError: a provider, address, key, model or price is missing or wrong.
        ModelError: a server cannot be reached.
    """
    providers = load_providers(options.config)
    user_prices = read_prices(options.prices) if options.prices else {}
    hosting = Hosting(console.info, console.warn, options.keep_loaded, options.context)
    opened = OpenTargets(warm_up=options.warm_up, hosting=hosting)
    endpoints: dict[str, EndpointPlan] = {}
    registry = LimiterRegistry(rate_limiters)
    async with AsyncExitStack() as stack:
        for provider, models, key in _check_providers(options, providers):
            name = provider.name
            url = await _address(stack, provider, problems, options)
            limiter = registry.get(url, provider)
            provider, address = await wsl.locate(provider, url, console.info)
            server = connect(provider, url, key, options.timeouts, limiter, address)
            server = replace(server, on_loaded=hosting.on_loaded)
            opened.servers[name] = await stack.enter_async_context(server)
            try:
                offers = await _list_models_or_empty(server, required=not models)
            except ModelError as error:
                if not resuming or not models:
                    if models or options.base_url or not provider.local:
                        raise
                    raise await _with_alternatives(error, provider, providers) from None
                opened.unreached[name], offers = error, []
            chosen = _choose_models(server, models, offers, console)
            targets = [_target(server, model, options) for model in chosen]
            if name not in opened.unreached:
                await _describe(hosting, server, targets, offers)
            opened.prices |= _prices(server, targets, offers, user_prices, options.max_cost)
            endpoint = endpoints.get(server.base_url)
            if endpoint is None:
                endpoint = EndpointPlan((), provider.concurrency, provider.local, provider.replays)
            endpoints[server.base_url] = replace(endpoint, targets=(*endpoint.targets, *targets))
        opened.endpoints = tuple(endpoints.values())
        yield opened


async def _with_alternatives(
    error: ModelError, provider: Provider, providers: Mapping[str, Provider]
) -> ModelError:
    """Return the error of a local server that is not there with what else could be asked."""
    if not isinstance(error, UnreachableError):
        return error
    lines = await alternatives(provider, providers)
    return UnreachableError(error.message, hint="\n".join([error.hint, *lines]))


async def _describe(
    hosting: Hosting, server: Server, targets: Sequence[Target], offers: Sequence[ModelInfo]
) -> None:
    """Describe the targets of a server before they are asked."""
    offered = {offer.id: offer for offer in offers}
    for target in targets:
        await hosting.add(target, server, offered.get(target.model))


def _check_providers(
    options: RequestOptions, providers: Mapping[str, Provider]
) -> list[tuple[Provider, list[str], str | None]]:
    """Return each provider with its models and its key, before any server is contacted.

    Raises:
        UsageError: a provider, its address or its key is missing or wrong.
    """
    checked = []
    for name, models in _requested_models(options).items():
        provider = _with_limits(get_provider(name, providers), options)
        key = None if provider.replays else read_key(provider)
        if not provider.replays:
            resolve_base_url(provider, _base_url(provider, options))
        checked.append((provider, models, key))
    return checked


def _base_url(provider: Provider, options: ModelOptions) -> str | None:
    """Return the address that the options give for a provider."""
    return options.base_url if provider.name == options.provider else None


def _requested_models(options: ModelOptions) -> Mapping[str, list[str]]:
    """Return the models to ask by provider; an empty list stands for the only one it offers."""
    models: dict[str, list[str]] = {}
    if options.model or not options.target:
        models[options.provider] = list(options.model)
    for target in options.target:
        provider, _, model = target.partition("/")
        if not model:
            raise UsageError(f"--target {target}: give PROVIDER/MODEL")
        models.setdefault(provider, []).append(model)
    return {provider: list(dict.fromkeys(names)) for provider, names in models.items()}


def _with_limits(provider: Provider, options: ModelOptions) -> Provider:
    """Return the provider with the limits that the options set for all."""
    return replace(
        provider,
        concurrency=options.concurrency or provider.concurrency,
        rpm=options.rpm or provider.rpm,
        tpm=options.tpm or provider.tpm,
    )


async def _address(
    stack: AsyncExitStack, provider: Provider, problems: Sequence[Problem], options: ModelOptions
) -> str:
    """Return the address of a provider's server; a replay server is started for it."""
    if provider.replays:
        url: str = (await stack.enter_async_context(replay.serve(problems))).base_url
        return url
    return resolve_base_url(provider, _base_url(provider, options))


def _target(server: Server, model: str, options: ModelOptions) -> Target:
    provider = server.provider
    # The recorded answer to run n is chosen by the seed, which makes a demo repeatable.
    seed = 1 if provider.replays and options.seed is None else options.seed
    address = EMBEDDED if provider.replays else server.base_url
    extra = dumps(provider.extra, sort_keys=True)
    sampling = options.sampling(seed)
    context_field = PROTOCOLS[provider.protocol].context_field
    if options.context is not None and context_field:
        fields = with_fields(loads(sampling.params), {"options": {context_field: options.context}})
        sampling = replace(sampling, params=dumps(fields, sort_keys=True, ensure_ascii=False))
    return Target(provider.name, model, address, sampling, extra, options.label)


def _prices(
    server: Server,
    targets: Sequence[Target],
    offers: Sequence[ModelInfo],
    user_prices: Mapping[str, Price],
    max_cost: float | None,
) -> dict[str, Price]:
    """Return the price of each target that has one, by label.

    Prices of the user come first, then those of the server, then those of the price list.

    Raises:
        UsageError: --max-cost is given and a target has no price.
    """
    is_commercial = not (server.provider.local or server.provider.replays)
    of_server = {offer.id: offer.price for offer in offers if offer.price is not None}
    prices = {}
    for target in targets:
        price = find_price(target, user_prices, of_server)
        if price is None and is_commercial:
            price = listed_price(target.base_url, target.model)
        if price is not None:
            prices[target.label] = price
        elif max_cost is not None:
            raise UsageError(
                f"--max-cost: the price of {target.label} is not known",
                hint="give it in --prices FILE",
            )
    return prices


def _choose_models(
    server: Server, models: Sequence[str], offers: Sequence[ModelInfo], console: Console
) -> Sequence[str]:
    """Return the named models, or the only one that the server offers."""
    ids = [offer.id for offer in offers]
    if models:
        return models
    if server.provider.replays:
        return ids
    model = choose_model(ids, server.base_url)
    console.info(f"asking {model}, the one chat model that {server.base_url} offers")
    return [model]


async def _list_models_or_empty(server: Server, *, required: bool) -> list[ModelInfo]:
    """Return the server's models; this request also shows that the server is there."""
    try:
        return await server.list_models()
    except ModelError as error:
        # Not every server lists its models, but one that cannot be reached is of no use.
        if required or isinstance(error, UnreachableError):
            raise
        return []
