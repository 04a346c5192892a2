"""The last-level cache, from recorded trees."""

from pathlib import Path

import pytest
from machine_trees import write

from coresplit.machine.caches import NOT_STATED, last_level_cache

CACHE = "/sys/devices/system/cpu/cpu0/cache"


def test_the_largest_cache_is_the_last_one(tmp_path: Path) -> None:
    sizes = {"index0": "32K", "index1": "32K", "index2": "2048K", "index3": "36M"}
    write(tmp_path, {f"{CACHE}/{name}/size": size for name, size in sizes.items()})
    assert last_level_cache(tmp_path) == 36 * 2**20


@pytest.mark.parametrize("size", [None, "", "0K", "-1", "much"])
def test_a_cache_of_no_stated_size_is_taken_for_a_usual_one(
    tmp_path: Path, size: str | None
) -> None:
    write(tmp_path, {} if size is None else {f"{CACHE}/index3/size": size})
    assert last_level_cache(tmp_path) == NOT_STATED == 64 * 2**20
