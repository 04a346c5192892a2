"""What a change of sets starts and keeps."""

import pytest

from coresplit.serving.dividing import Latencies
from coresplit.serving.sets import InstanceSet, Place, expected_memory, kept, missing


def set_on(name: str, *cpus: tuple[int, ...], optimization: str = "none") -> InstanceSet:
    places = tuple(Place(each, optimization) for each in cpus)
    return InstanceSet(name=name, places=places, most_rows=4, latencies=Latencies({}))


THIN = set_on("thin", (0,), (1,), (2,))
FAT = set_on("fat", (0, 1, 2))
MIXED = set_on("mixed", (0,), (1, 2))
KNOWN = {place: 100 for each in (THIN, FAT, MIXED) for place in each.places}


def test_only_what_no_other_set_has_is_missing() -> None:
    assert missing(MIXED, THIN.places) == (Place((1, 2)),)
    assert missing(FAT, THIN.places) == FAT.places
    assert missing(set_on("other", (0,), optimization="script"), THIN.places) != ()


def test_instances_of_a_set_share_no_core() -> None:
    with pytest.raises(ValueError, match="cores of their own"):
        set_on("wrong", (0,), (0, 1))
    with pytest.raises(ValueError, match="cores of their own"):
        set_on("none")


def test_memory_is_expected_of_what_was_prepared_alike() -> None:
    known = {Place((0,), "none"): 100, Place((1,), "script"): 300}
    assert expected_memory([Place((0, 1), "script")], known) == 300
    assert expected_memory([Place((0,), "none"), Place((7,), "bf16")], known) == 400
    assert expected_memory([Place((0,), "none")], {}) == 0


def test_the_active_set_stays_whatever_it_takes() -> None:
    there = {*THIN.places, *FAT.places}
    assert kept(THIN, [FAT], there, KNOWN, 0) == set(THIN.places)


def test_sets_stay_in_their_order_as_far_as_memory_goes() -> None:
    there = {*THIN.places, *FAT.places, *MIXED.places}
    assert kept(THIN, [FAT, MIXED], there, KNOWN, 400) == {*THIN.places, *FAT.places}
    assert kept(THIN, [MIXED, FAT], there, KNOWN, 400) == {*THIN.places, *MIXED.places}
    assert kept(THIN, [FAT, MIXED], there, KNOWN, 500) == there


def test_a_set_that_lacks_an_instance_does_not_stay_but_for_what_others_share() -> None:
    there = {*THIN.places[:2], *FAT.places}
    assert kept(FAT, [THIN], there, KNOWN) == set(FAT.places)
