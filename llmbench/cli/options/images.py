"""Options of `llmbench images`, an action each."""

from collections.abc import Mapping

from attrs import field, frozen

from llmbench.cli.command import Command
from llmbench.errors import UsageError
from llmbench.options import comma_list, option
from llmbench.runs.options import RunnerOptions

DESCRIPTION = """\
List, build, remove, push and pull the images that tests run in, one for each language. They are
built by the command line of Docker or Podman, at the engine that llmbench uses."""

EPILOG = """\
A run builds an image that the engine lacks. The base image of a language comes from --base, else
from the environment (PYTHON_BASE, GO_BASE, …), else from its Dockerfile; BUILD_NETWORK names the
network of builds. In a registry, the tag of an image is the state of its runner folder, so that
everyone with the same llmbench pulls the same image. Without an action, images are listed.

examples:
  llmbench images
  llmbench images build
  llmbench images build --langs python --base python=registry.example/python:3.13
  llmbench images push registry.example/team"""


@frozen(kw_only=True, slots=False)
class ImagesOptions(RunnerOptions):
    """The images."""

    langs: tuple[str, ...] = field(
        default=(),
        converter=comma_list,
        metadata=option("only images of these languages", "L,L", default="all"),
    )


@frozen(kw_only=True, slots=False)
class ListOptions(ImagesOptions):
    """The images to list."""


@frozen(kw_only=True, slots=False)
class BuildOptions(ImagesOptions):
    """The images to build, and their parts."""

    base: tuple[str, ...] = field(
        default=(),
        converter=comma_list,
        metadata=option(
            "base image of a language; repeatable", "L=IMAGE", default="that of the Dockerfile"
        ),
    )
    network: str | None = field(
        default=None,
        metadata=option("network of the builds", "NAME", default="the engine's"),
    )

    @property
    def bases(self) -> Mapping[str, str]:
        """The base images by language.

        Raises:
            UsageError: one is not written as L=IMAGE.
        """
        pairs = [text.partition("=") for text in self.base]
        for lang, equals, image in pairs:
            if not (lang and equals and image):
                raise UsageError(f"--base {lang}{equals}{image}: give LANGUAGE=IMAGE")
        return {lang: image for lang, _, image in pairs}


@frozen(kw_only=True, slots=False)
class RemoveOptions(ImagesOptions):
    """The images to remove."""


_REGISTRY = option("registry, with a path if it needs one", "REGISTRY", positional=True)


@frozen(kw_only=True, slots=False)
class PushOptions(ImagesOptions):
    """The images to push."""

    registry: str = field(metadata=_REGISTRY)


@frozen(kw_only=True, slots=False)
class PullOptions(ImagesOptions):
    """The images to pull."""

    registry: str = field(metadata=_REGISTRY)


COMMAND = Command(
    "llmbench images",
    DESCRIPTION,
    epilog=EPILOG,
    default_action="list",
    actions={
        "list": Command("llmbench images list", "list images, a line each", ListOptions),
        "build": Command("llmbench images build", "build images anew", BuildOptions),
        "remove": Command("llmbench images remove", "remove images", RemoveOptions),
        "push": Command("llmbench images push", "send images to a registry", PushOptions),
        "pull": Command("llmbench images pull", "get images from a registry", PullOptions),
    },
)
