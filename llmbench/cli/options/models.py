"""Options of `llmbench models`."""

from attrs import field, frozen

from llmbench.cli.command import Command, with_format
from llmbench.options import comma_list, option
from llmbench.runs.request_options import ConfigOptions

DESCRIPTION = """\
List the chat models that a server offers: which are loaded, how much context they take and what
they cost, as far as the server reports it."""

EPILOG = """\
examples:
  llmbench models
  llmbench models --provider openrouter --only 'anthropic/*'
  llmbench models --base-url http://gpu-box:1234/v1 --format json"""

FORMATS = ("text", "json")


@frozen(kw_only=True, slots=False)
class ModelsOptions(ConfigOptions):
    """The server to ask, and the form of the output."""

    provider: str = field(
        default="lmstudio", metadata=option("provider whose models are listed", "NAME")
    )
    base_url: str | None = field(
        default=None, metadata=option("address of the server", "URL", default="the provider's")
    )
    only: tuple[str, ...] = field(
        default=(),
        converter=comma_list,
        metadata=option("only models whose id matches", "GLOB,GLOB", default="all"),
    )
    format: str = field(default="text", metadata=option("output format", choices=FORMATS))


COMMAND = Command("llmbench models", DESCRIPTION, ModelsOptions, EPILOG, prepare=with_format)
