"""The hook of MkDocs: tables from the code, and pages that lie beside docs/.

mkdocs.yml names this file; `mkdocs serve` and `mkdocs build --strict` use it.
"""

import re
from pathlib import PurePosixPath
from posixpath import normpath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

import docs

OUTSIDE = {
    "SECURITY.md": "security.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "runners/README.md": "runners.md",
}
"""Pages of the repository that are also pages of the site, with their names there."""

LINK = re.compile(r"(?<=\]\()(?P<path>[\w./-]+\.md)(?P<anchor>#[\w-]*)?(?=\))")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that lie beside docs/."""
    for path, name in OUTSIDE.items():
        text = (docs.ROOT / path).read_text(encoding="utf-8")
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Insert the tables from the code, and let links between pages hold on the site too."""
    source = _path_in_repository(page.file.src_uri)

    def on_site(match: re.Match[str]) -> str:
        target = normpath(str(PurePosixPath(source).parent / match["path"]))
        name = OUTSIDE.get(target) or target.removeprefix("docs/")
        up = "../" * (len(PurePosixPath(page.file.src_uri).parts) - 1)
        return f"{up}{name}{match['anchor'] or ''}"

    return LINK.sub(on_site, docs.insert(markdown))


def _path_in_repository(name: str) -> str:
    """Return the path of a page from the root of the repository."""
    return {site: path for path, site in OUTSIDE.items()}.get(name, f"docs/{name}")
