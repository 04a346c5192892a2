"""The fake of an instance that serves does what a real one does."""

import os
import select
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from coresplit.errors import InstanceDied, InstanceTimeout, PrepareFailed
from coresplit.instance import (
    Arena,
    Failure,
    FakeServing,
    Infer,
    Inferred,
    InstanceSpec,
    Ready,
    Rows,
    Serve,
    ServingInstance,
    Text,
    fake_output,
)
from coresplit.instance.fake_server import row_bytes
from coresplit.instance.messages import Reply
from coresplit.models import ModelSpec
from coresplit.records import ModelInput, ModelOutput

SPEC = InstanceSpec(
    model=ModelSpec(name="fake:1"),
    optimization="none",
    cpus=(0,),
    home=(0,),
    serve=Serve(batches=(1, 2), arena_size=8192),
)
PAIR = (ModelOutput(name="a", shape=(2,)), ModelOutput(name="b", shape=(3,), dtype="int64"))
IDS = (ModelInput(name="ids", shape=(4,), dtype="uint8"),)


@pytest.fixture
def arena() -> Iterator[Arena]:
    found = Arena.create(8192)
    yield found
    found.close()


@pytest.fixture
def start(arena: Arena) -> Iterator[Callable[..., FakeServing]]:
    """Starts fakes that are closed in the end."""
    started: list[FakeServing] = []

    def begin(*arguments: object, **options: object) -> FakeServing:
        started.append(FakeServing(SPEC, arena, *arguments, **options))  # type: ignore[arg-type]
        return started[-1]

    yield begin
    for each in started:
        each.close()


def reply(fake: ServingInstance) -> Reply:
    while (found := fake.poll()) is None:
        assert select.select([fake], [], [], 30)[0]
    return found


def put(arena: Arena, offset: int, data: bytes) -> int:
    arena.view(offset, len(data))[:] = data
    return offset


def test_rows_come_back_marked_by_output(arena: Arena, start: Callable[..., FakeServing]) -> None:
    fake = start(inputs=IDS, outputs=PAIR)
    assert isinstance(reply(fake), Ready)
    fake.send(
        Infer(
            rows=(
                Rows(count=2, inputs=(put(arena, 0, b"abcdefgh"),), outputs=(100, 200)),
                Rows(count=1, inputs=(put(arena, 50, b"ijkl"),), outputs=(300, 400)),
            )
        )
    )
    found = reply(fake)
    assert isinstance(found, Inferred) and found.refused == ("", "")
    assert bytes(arena.view(100, 16)) == b"abcd\0\0\0\0efgh\0\0\0\0"
    assert bytes(arena.view(200, 24)) == fake_output(b"abcd", 1, 24)
    assert bytes(arena.view(224, 24)) == fake_output(b"efgh", 1, 24)
    assert fake_output(b"efgh", 1, 6) == b"dgfi\0\0"
    assert bytes(arena.view(300, 8)) == b"ijkl\0\0\0\0"
    assert [len(each.rows) for each in fake.seen] == [2]


def test_it_takes_what_the_formula_says(start: Callable[..., FakeServing]) -> None:
    fake = start(lambda batch: 0.02 * batch)
    fake.wait_ready()
    begin = time.perf_counter()
    for _ in range(2):
        fake.send(Infer(rows=(Rows(count=3, inputs=(0,), outputs=(64,)),)))
    first, second = reply(fake), reply(fake)
    assert isinstance(first, Inferred) and isinstance(second, Inferred)
    assert min(first.compute_s, second.compute_s) >= 0.06
    assert first.started_at >= begin and second.started_at >= first.ended_at


def test_wrong_text_is_refused_as_by_a_real_one(
    arena: Arena, start: Callable[..., FakeServing]
) -> None:
    fake = start(inputs=IDS, outputs=PAIR[:1])
    fake.wait_ready()
    put(arena, 0, b"[1,2,3,4,5,6,7,8][1,2]")
    fake.send(
        Infer(
            rows=(
                Rows(count=1, inputs=(Text(offset=0, size=17, skip=1),), outputs=(100,)),
                Rows(count=1, inputs=(Text(offset=17, size=5),), outputs=(200,)),
            )
        )
    )
    found = reply(fake)
    assert isinstance(found, Inferred)
    assert found.refused == ("", "input 'ids': 2 values where 4 were expected")
    assert bytes(arena.view(100, 4)) == b"\5\6\7\10"
    assert bytes(arena.view(200, 4)) == bytes(4)


def by_row(row: bytes) -> str | None:
    return {b"d": "die", b"h": "hang", b"f": "fail"}.get(row[:1])


def test_it_fails_dies_and_hangs_over_certain_rows(
    arena: Arena, start: Callable[..., FakeServing]
) -> None:
    fakes = [start(inputs=IDS, outputs=PAIR[:1], fault=by_row) for _ in range(3)]
    for place, (fake, row) in enumerate(zip(fakes, (b"fail", b"die!", b"hang"), strict=True)):
        fake.wait_ready()
        at = put(arena, 8 * place, row)
        fake.send(Infer(rows=(Rows(count=1, inputs=(at,), outputs=(100,)),)))
    failed = reply(fakes[0])
    assert isinstance(failed, Failure) and failed.kind == "forward"
    with pytest.raises(InstanceDied, match="instance none t=1"):
        reply(fakes[1])
    with pytest.raises(InstanceDied):
        fakes[1].send(Infer(rows=()))
    assert not select.select([fakes[2]], [], [], 0.1)[0]
    assert fakes[2].poll() is None
    fakes[0].send(Infer(rows=(Rows(count=1, inputs=(4000,), outputs=(100,)),)))
    assert isinstance(reply(fakes[0]), Inferred)


def test_one_that_is_told_to_die_does_so_while_it_computes(
    start: Callable[..., FakeServing],
) -> None:
    fake = start(lambda batch: 3600.0)
    fake.wait_ready()
    fake.send(Infer(rows=(Rows(count=1, inputs=(0,), outputs=(64,)),)))
    fake.die()
    assert select.select([fake], [], [], 30)[0]
    for _ in range(2):
        with pytest.raises(InstanceDied):
            fake.poll()


def test_one_that_is_told_to_hang_answers_nothing_and_can_be_closed(
    start: Callable[..., FakeServing],
) -> None:
    fake = start()
    fake.wait_ready()
    fake.hang()
    fake.send(Infer(rows=(Rows(count=1, inputs=(0,), outputs=(64,)),)))
    assert not select.select([fake], [], [], 0.1)[0]
    fake.close()
    fake.close()
    with pytest.raises(InstanceDied):
        fake.poll()


def test_one_that_cannot_be_prepared_says_so_and_ends(start: Callable[..., FakeServing]) -> None:
    fake = start(unready=Failure(kind="prepare", message="no such kernel"))
    with pytest.raises(PrepareFailed, match="instance none t=1: no such kernel"):
        fake.wait_ready()
    with pytest.raises(InstanceDied):
        reply(fake)


def test_one_that_prepares_for_long_can_be_waited_for_briefly(
    start: Callable[..., FakeServing],
) -> None:
    fake = start(prepare_s=3600.0)
    with pytest.raises(InstanceTimeout):
        fake.wait_ready(timeout=0.01)


def test_rows_outside_the_arena_are_a_failure(start: Callable[..., FakeServing]) -> None:
    fake = start()
    fake.wait_ready()
    fake.send(Infer(rows=(Rows(count=1, inputs=(8190,), outputs=(0,)),)))
    failed = reply(fake)
    assert isinstance(failed, Failure) and failed.message.startswith("ValueError")


def test_a_signal_to_a_fake_meets_nobody_and_its_thread_ends(
    start: Callable[..., FakeServing],
) -> None:
    fake = start()
    with pytest.raises(ProcessLookupError):
        os.kill(fake.pid, 0)
    fake.close()
    assert all(each.name != "fake instance" for each in threading.enumerate())


@pytest.mark.parametrize(
    ("dtype", "size"), [("bool", 6), ("uint8", 6), ("bfloat16", 12), ("complex128", 96)]
)
def test_rows_have_the_size_of_their_type(dtype: str, size: int) -> None:
    assert row_bytes(ModelOutput(name="y", shape=(2, 3), dtype=dtype)) == size
