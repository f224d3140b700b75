import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmbench.models.sse import EventDecoder


def decoded(*chunks: bytes) -> list[bytes]:
    decoder = EventDecoder()
    events = [data for chunk in chunks for data in decoder.feed(chunk)]
    return events + decoder.close()


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"data: a\n\ndata: b\n\n", [b"a", b"b"]),
        (b"data:a\n\n", [b"a"]),
        (b"data:  a\n\n", [b" a"]),
        (b"data: a\r\n\r\ndata: b\r\n\r\n", [b"a", b"b"]),
        (b"data: {\ndata:  1}\n\n", [b"{\n 1}"]),
        (b": OPENROUTER PROCESSING\n\ndata: a\n\n: ping\n\n", [b"a"]),
        (b'error: {"code": 500}\n\n', [b'{"error": {"code": 500}}']),
        (b"event: x\nid: 7\nretry: 1\ndata: a\n\n", [b"a"]),
        (b"data: a\n\ndata: [DONE]", [b"a", b"[DONE]"]),
        (b"\n\n\n", []),
        (b"data\n\n", []),
        (b"", []),
    ],
)
def test_each_form_of_event_stream_is_read(stream: bytes, events: list[bytes]) -> None:
    assert decoded(stream) == events


def test_events_are_out_as_soon_as_they_are_whole() -> None:
    decoder = EventDecoder()
    assert decoder.feed(b"data: a\n\ndata: b\n") == [b"a"]
    assert decoder.feed(b"\n") == [b"b"]


@given(
    texts=st.lists(st.text(), min_size=1, max_size=5),
    cuts=st.lists(st.integers(0, 400), max_size=8),
    end=st.sampled_from([b"\n", b"\r\n"]),
)
def test_where_the_network_cuts_a_stream_changes_nothing(
    texts: list[str], cuts: list[int], end: bytes
) -> None:
    stream = b"".join(
        b"data: " + json.dumps(text, ensure_ascii=False).encode("utf-8", "surrogatepass") + end * 2
        for text in texts
    )
    at = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    pieces = [stream[a:b] for a, b in itertools.pairwise(at)]
    assert [json.loads(data) for data in decoded(*pieces)] == texts
