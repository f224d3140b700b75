"""Options of `llmbench completion`."""

from attrs import field, frozen

from llmbench.cli.command import Command
from llmbench.options import Options, option

SHELLS = ("bash", "zsh", "fish")

EPILOG = """\
To turn completion on:
  bash   llmbench completion bash >~/.local/share/bash-completion/completions/llmbench
  zsh    llmbench completion zsh >~/.zfunc/_llmbench     (with ~/.zfunc in fpath)
  fish   llmbench completion fish >~/.config/fish/completions/llmbench.fish"""


@frozen(kw_only=True, slots=False)
class CompletionOptions(Options):
    """The shell to complete in."""

    shell: str = field(metadata=option("bash, zsh or fish", choices=SHELLS, positional=True))


COMMAND = Command(
    "llmbench completion",
    "Print the script that completes commands and options in a shell.",
    CompletionOptions,
    EPILOG,
)
