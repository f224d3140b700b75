"""Escaping of foreign text."""

from hypothesis import given
from hypothesis import strategies as st

from llmbench.reports.sanitize import escape_controls, single_line


@given(st.text(alphabet=st.characters()))
def test_escaped_text_contains_nothing_that_controls_a_terminal(text: str) -> None:
    plain = escape_controls(text)
    assert all(c in "\n\t" or c >= " " for c in plain)
    assert not set(plain) & set("\x7f\x9b\u202e\u2028\u200f\u2066")
    assert "\n" not in single_line(text)


def test_other_text_stays_as_it_is() -> None:
    text = "def f():\n\treturn 'é 漢字 🙂'\r\n"
    assert escape_controls(text) == text.replace("\r\n", "\n")
    assert escape_controls("\x1b[31m\r\u202e\ud800") == "\\x1b[31m\\r\\u202e\\ud800"
