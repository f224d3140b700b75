"""The decoder of server-sent events."""

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmbench.models.sse import EventDecoder


def decode(*chunks: bytes) -> list[bytes]:
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
        (b"data: a\r\rdata: b\r\r", [b"a", b"b"]),
        (b'data: {"a": 1}\ndata: {"b": 2}\ndata: [DONE]\n', [b'{"a": 1}', b'{"b": 2}', b"[DONE]"]),
        (b"event: error\ndata: gone\n\ndata: a\n\n", [b'{"error": "gone"}', b"a"]),
        (b'event: error\ndata: {"error": "x"}\n\n', [b'{"error": "x"}']),
        (b"data:\n\n", [b""]),
        (b"\n\n\n", []),
        (b"data\n\n", []),
        (b"", []),
    ],
)
def test_each_form_of_event_stream_is_read(stream: bytes, events: list[bytes]) -> None:
    assert decode(stream) == events


def test_an_event_is_returned_as_soon_as_it_is_whole() -> None:
    decoder = EventDecoder()
    assert decoder.feed(b"data: a\n\ndata: b\n") == [b"a"]
    assert decoder.feed(b"\n") == [b"b"]
    assert decoder.feed(b'data: {"a": 1}\n') == [b'{"a": 1}']
    assert decoder.feed(b"\n") == []


@given(
    texts=st.lists(st.text(), min_size=1, max_size=5),
    cuts=st.lists(st.integers(0, 400), max_size=8),
    end=st.sampled_from([b"\n", b"\r\n", b"\r"]),
)
def test_the_events_are_the_same_wherever_the_network_splits_the_stream(
    texts: list[str], cuts: list[int], end: bytes
) -> None:
    stream = b"".join(
        b"data: " + json.dumps(text, ensure_ascii=False).encode("utf-8", "surrogatepass") + end * 2
        for text in texts
    )
    positions = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    pieces = [stream[a:b] for a, b in itertools.pairwise(positions)]
    assert [json.loads(data) for data in decode(*pieces)] == texts
