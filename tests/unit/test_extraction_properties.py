"""Any text gives a part of its own lines or nothing, and code comes back unchanged."""

from helpers.answers import extract_code, fenced
from hypothesis import given
from hypothesis import strategies as st

from llmbench.extraction import Extraction, ExtractionMethod

PIECES = (
    *("```", "````", "~~~", "```python", "<think>", "</think>", "[/THINK]", '"""', "/*", "*/"),
    *("\n", "\n", "\n", " ", "\t", "  ", "- ", "'", '"', "`", "def f():", "Prose.", "\r", "#"),
)
hostile = st.lists(st.sampled_from(PIECES), max_size=60).map("".join)


@given(st.one_of(st.text(), hostile))
def test_any_text_gives_parts_of_its_own_lines_or_no_code(text: str) -> None:
    result = extract_code(text)
    assert (result.code is None) == (result.method is ExtractionMethod.NONE)
    if result.code is not None:
        assert result.code.strip()
        assert result.code.endswith("\n")
        assert not result.code.endswith("\n\n")
        lines = text.replace("\r", "\n").split("\n")
        assert all(any(line in whole for whole in lines) for line in result.code.split("\n"))


code_lines = st.lists(
    st.text(alphabet="abcdef (){}[]=+:,.#*/\\\"'<>\t", min_size=1), min_size=1, max_size=20
)


@given(code_lines)
def test_bare_code_comes_back_unchanged(lines: list[str]) -> None:
    code = "\n".join(["def f():", *lines]).rstrip() + "\n"
    assert extract_code(code) == Extraction(code, ExtractionMethod.WHOLE_TEXT)


@given(code_lines, st.sampled_from(["```", "````", "~~~"]), st.sampled_from(["", "\nMore.\n"]))
def test_code_without_fences_comes_back_from_a_fence(
    lines: list[str], mark: str, after: str
) -> None:
    code = "\n".join(lines).rstrip() + "\n"
    code = code.lstrip()  # an indent of the first line is no part of the code
    if code:
        assert extract_code(f"Text.\n\n{fenced(code, mark=mark)}{after}") == Extraction(
            code, ExtractionMethod.FENCE
        )
