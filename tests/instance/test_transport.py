"""Shared memory of a server, and what of it is taken."""

import os
import signal
import subprocess
import sys
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from coresplit.instance.transport import Arena, Blocks

PAGE = 4096
SIZE = 16 * PAGE


def pages_held(arena: Arena) -> int:
    return os.fstat(arena.fd).st_blocks * 512 // PAGE


def test_an_arena_is_the_same_bytes_wherever_it_is_attached() -> None:
    arena = Arena.create(SIZE)
    other = Arena.attach(os.dup(arena.fd), SIZE)
    arena.view(5, 3)[:] = b"abc"
    assert bytes(other.view(4, 5)) == b"\0abc\0"
    other.view(5, 1)[:] = b"x"
    assert bytes(arena.view(5, 3)) == b"xbc"
    other.close()
    arena.close()


CHILD = """
import os, signal, sys
from coresplit.instance.transport import Arena
arena = Arena.attach(int(sys.argv[1]), int(sys.argv[2]))
arena.view(0, 4)[:] = b"here"
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_child_wrote_stays_with_the_parent() -> None:
    arena = Arena.create(SIZE)
    ended = subprocess.run(
        [sys.executable, "-c", CHILD, str(arena.fd), str(SIZE)],
        pass_fds=[arena.fd],
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL
    assert bytes(arena.view(0, 5)) == b"here\0"
    arena.close()


def test_no_other_program_inherits_an_arena() -> None:
    arena = Arena.create(SIZE)
    assert not os.get_inheritable(arena.fd)
    arena.close()


@pytest.mark.parametrize("size", [0, PAGE, 2 * SIZE])
def test_an_arena_cannot_be_shrunk_or_grown(size: int) -> None:
    arena = Arena.create(SIZE)
    with pytest.raises(PermissionError):
        os.ftruncate(arena.fd, size)
    arena.close()


def test_an_arena_of_another_size_is_not_attached() -> None:
    arena = Arena.create(SIZE)
    with pytest.raises(ValueError, match=f"has {SIZE} bytes instead of {SIZE + 1}"):
        Arena.attach(arena.fd, SIZE + 1)
    arena.close()


@pytest.mark.parametrize(("offset", "size"), [(-1, 1), (0, SIZE + 1), (SIZE, 1), (4, -1)])
def test_no_view_leaves_the_arena(offset: int, size: int) -> None:
    arena = Arena.create(SIZE)
    with pytest.raises(ValueError, match="are not in"):
        arena.view(offset, size)
    arena.close()


def test_whole_pages_go_back_to_the_kernel_and_the_rest_stays() -> None:
    arena = Arena.create(SIZE)
    arena.view(0, SIZE)[:] = b"a" * SIZE
    assert pages_held(arena) == 16
    arena.release(PAGE - 1, 2 * PAGE + 2)
    assert pages_held(arena) == 14
    arena.release(0, PAGE - 1)
    assert pages_held(arena) == 14
    assert bytes(arena.view(PAGE - 1, 2 * PAGE + 2)) == b"a" + b"\0" * 2 * PAGE + b"a"
    arena.close()


def test_without_holes_pages_are_advised_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coresplit.instance.transport._punch_hole", lambda *place: False)
    arena = Arena.create(SIZE)
    arena.view(0, SIZE)[:] = b"a" * SIZE
    arena.release(0, 2 * PAGE)
    assert pages_held(arena) == 14
    arena.close()


def test_a_view_outlives_the_arena_and_closing_twice_is_harmless() -> None:
    arena = Arena.create(SIZE)
    view = arena.view(0, 2)
    arena.close()
    arena.close()
    view[:] = b"ok"
    assert bytes(view) == b"ok"


def test_a_block_is_the_first_that_fits() -> None:
    blocks = Blocks(10 * PAGE)
    assert [blocks.take(size) for size in (1, 3 * PAGE, PAGE)] == [0, PAGE, 4 * PAGE]
    blocks.give(PAGE)
    assert blocks.take(4 * PAGE) == 5 * PAGE
    assert blocks.take(2 * PAGE) == PAGE
    assert blocks.take(2 * PAGE) is None
    assert blocks.take(0) == 3 * PAGE
    assert blocks.taken == 9 * PAGE


def test_what_is_smaller_than_the_alignment_holds_nothing() -> None:
    assert Blocks(PAGE - 1).take(1) is None


def test_sizes_that_are_none_are_refused() -> None:
    blocks = Blocks(PAGE)
    blocks.take(1)
    blocks.give(0)
    for wrong in (lambda: blocks.give(0), lambda: blocks.take(-1), lambda: Blocks(0)):
        with pytest.raises(ValueError):
            wrong()


@given(st.lists(st.integers(0, 300), max_size=30), st.integers(1, 64), st.randoms())
def test_everything_given_back_is_whole_again(sizes: list[int], align: int, random: Random) -> None:
    blocks = Blocks(4096, align)
    taken = [each for size in sizes if (each := blocks.take(size)) is not None]
    random.shuffle(taken)
    for each in taken:
        blocks.give(each)
    assert blocks.taken == 0
    assert blocks.take(4096 // align * align) == 0


class Dealing(RuleBasedStateMachine):
    """Blocks beside a plain list of every byte."""

    held = Bundle("held")

    def __init__(self) -> None:
        super().__init__()
        self.blocks = Blocks(1000, 8)
        self.owners: dict[int, int] = {}
        self.sizes: dict[int, int] = {}

    @rule(target=held, size=st.integers(0, 250))
    def take(self, size: int) -> int | None:
        wanted = -(-max(1, size) // 8) * 8
        offset = self.blocks.take(size)
        if offset is None:
            gap = longest = 0
            for byte in range(1000):
                gap = 0 if byte in self.owners else gap + 1
                longest = max(longest, gap)
            assert longest < wanted
            return None
        assert offset % 8 == 0 and offset + wanted <= 1000
        for byte in range(offset, offset + wanted):
            assert byte not in self.owners
            self.owners[byte] = offset
        self.sizes[offset] = wanted
        return offset

    @rule(offset=consumes(held))
    def give(self, offset: int | None) -> None:
        if offset is not None:
            self.blocks.give(offset)
            for byte in range(offset, offset + self.sizes.pop(offset)):
                del self.owners[byte]

    @invariant()
    def taken_is_what_is_owned(self) -> None:
        assert self.blocks.taken == len(self.owners)


TestDealing = Dealing.TestCase
