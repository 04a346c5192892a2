"""Messages out of a stream that is cut anywhere."""

import os
import threading
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coresplit.instance.channel import Channel, End
from coresplit.instance.framing import Framing, framed


@given(st.lists(st.binary(max_size=40), max_size=8), st.lists(st.integers(0, 400), max_size=20))
def test_messages_come_out_whole_and_in_order_however_they_are_cut(
    messages: list[bytes], cuts: list[int]
) -> None:
    stream = b"".join(map(framed, messages))
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    framing = Framing()
    found = []
    for first, end in pairwise(edges):
        framing.feed(stream[first:end])
        while (message := framing.message()) is not None:
            found.append(message)
    assert found == messages


def test_a_message_is_none_until_its_last_byte() -> None:
    framing = Framing()
    for byte in framed(b"ab")[:-1]:
        framing.feed(bytes([byte]))
        assert framing.message() is None
    framing.feed(b"b")
    assert framing.message() == b"ab"
    assert framing.message() is None


def test_a_length_that_is_none_is_refused() -> None:
    framing = Framing()
    framing.feed(b"\xff\xff\xff\xff")
    with pytest.raises(ValueError, match="too long"):
        framing.message()


def pair() -> tuple[Channel, End]:
    channel = Channel()
    with channel.hand_over() as theirs:
        return channel, End(os.dup(theirs.fileno()))


@pytest.mark.parametrize("size", [0, 1, 20_000, 100_000])
def test_both_ends_understand_each_other(size: int) -> None:
    channel, child = pair()
    assert channel.poll() is None
    channel.send(b"a" * size)
    assert child.receive() == b"a" * size
    child.send(b"b" * size)
    assert channel.poll() == b"b" * size
    assert channel.poll() is None
    child.close()
    child.close()
    channel.close()


def test_what_was_sent_before_the_end_is_told_before_it() -> None:
    channel, child = pair()
    channel.send(b"never read")
    child.send(b"one")
    child.send(b"two")
    child.close()
    assert [channel.poll(), channel.poll()] == [b"one", b"two"]
    for _ in range(2):
        with pytest.raises(EOFError):
            channel.poll()
    with pytest.raises(OSError):
        channel.send(b"more")
    channel.close()


def test_half_a_message_is_waited_for_and_lost_with_the_other_end() -> None:
    channel = Channel()
    with channel.hand_over() as theirs:
        descriptor = os.dup(theirs.fileno())
    os.write(descriptor, framed(b"whole")[:6])
    assert channel.poll() is None
    os.close(descriptor)
    with pytest.raises(EOFError):
        channel.poll()
    channel.close()


@pytest.mark.parametrize("read", [True, False], ids=["all read", "some unread"])
def test_a_child_gets_all_that_was_sent_and_then_its_end(read: bool) -> None:
    channel, child = pair()
    if not read:
        child.send(b"never read")
    channel.send(b"one")
    channel.send(b"two")
    channel.close()
    with child:
        if read:
            assert [child.receive(), child.receive()] == [b"one", b"two"]
        for _ in range(2):
            with pytest.raises(EOFError):
                while True:
                    child.receive()


def test_a_message_longer_than_the_pipe_is_read_while_it_is_sent() -> None:
    channel, child = pair()
    long = bytes(range(256)) * 2**14
    sender = threading.Thread(target=channel.send, args=(long,))
    sender.start()
    with child:
        assert child.receive() == long
    sender.join()
    channel.close()
