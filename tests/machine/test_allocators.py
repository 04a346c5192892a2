import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from machine_trees import write

from coresplit.errors import EnvironmentFault, UsageError
from coresplit.machine.allocators import (
    ALLOCATORS,
    MALLOC_TUNABLES,
    allocator_environment,
    find_library,
    loaded_allocator,
    missing_allocator,
    release_memory,
    usable_allocators,
)
from coresplit.machine.kernel_files import HUGE_PAGES

FOLDER = f"/usr/lib/{os.uname().machine}-linux-gnu"
TCMALLOC = f"{FOLDER}/libtcmalloc_minimal.so.4"
JEMALLOC = f"{FOLDER}/libjemalloc.so.2"

ASK = "from coresplit.machine.allocators import loaded_allocator; print(loaded_allocator())"
RELEASE = """
import ctypes
from coresplit.machine.allocators import release_memory

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096

library = ctypes.CDLL(None)
library.malloc.restype = ctypes.c_void_p
blocks = [library.malloc(ctypes.c_size_t(2**20)) for _ in range(128)]
for block in blocks:
    ctypes.memset(block, 1, 2**20)
held = resident()
for block in blocks:
    library.free(ctypes.c_void_p(block))
assert release_memory()
print(held, resident())
"""
FAULTS = """
import ctypes, resource
from coresplit.machine.allocators import loaded_allocator

loaded_allocator()
library = ctypes.CDLL(None)
library.malloc.restype = ctypes.c_void_p

def round():
    block = library.malloc(ctypes.c_size_t(2**27))
    ctypes.memset(block, 1, 2**27)
    library.free(ctypes.c_void_p(block))

round()
before = resource.getrusage(resource.RUSAGE_THREAD).ru_minflt
round()
print(resource.getrusage(resource.RUSAGE_THREAD).ru_minflt - before)
"""


def linux(tmp_path: Path, release: str = "") -> Path:
    """A machine with glibc, huge pages for those who ask, tcmalloc and jemalloc."""
    files = {f"{FOLDER}/libc.so.6": "", TCMALLOC: "", JEMALLOC: "", "/etc/os-release": release}
    return write(tmp_path, {**files, HUGE_PAGES: "always [madvise] never"})


def answer(code: str, environment: Mapping[str, str]) -> list[str]:
    command = [sys.executable, "-c", code]
    ended = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    return ended.stdout.split()


def environment_of(name: str) -> dict[str, str]:
    missing = missing_allocator(name)
    if missing is not None:
        pytest.skip(missing)
    return allocator_environment(name, os.environ)


def test_the_default_drops_whatever_chose_another_allocator_and_keeps_the_rest(
    tmp_path: Path,
) -> None:
    caller = {
        "HOME": "/root",
        "LD_PRELOAD": "/opt/libtcmalloc.so /opt/libtrace.so:libjemalloc.so.2:/opt/libmimalloc.so.2",
        "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1:glibc.cpu.x86_shstk=off:glibc.malloc.arena_max=1",
        "MALLOC_ARENA_MAX": "2",
        "MALLOC_CONF": "dirty_decay_ms:-1",
        "TCMALLOC_RELEASE_RATE": "0",
    }
    assert allocator_environment("default", caller, linux(tmp_path)) == {
        "HOME": "/root",
        "LD_PRELOAD": "/opt/libtrace.so",
        "GLIBC_TUNABLES": "glibc.cpu.x86_shstk=off",
    }


def test_variables_that_are_empty_in_the_end_are_not_set(tmp_path: Path) -> None:
    caller = {"LD_PRELOAD": "libtcmalloc.so.4", "GLIBC_TUNABLES": "glibc.malloc.perturb=3"}
    assert allocator_environment("default", caller, linux(tmp_path)) == {}


def test_tuned_glibc_joins_its_tunables_to_those_kept(tmp_path: Path) -> None:
    caller = {"GLIBC_TUNABLES": "glibc.cpu.x86_shstk=off:glibc.malloc.mmap_threshold=1"}
    assert allocator_environment("glibc_tuned", caller, linux(tmp_path)) == {
        "GLIBC_TUNABLES": f"glibc.cpu.x86_shstk=off:{MALLOC_TUNABLES}"
    }


def test_huge_pages_are_asked_for_beside_the_tuning(tmp_path: Path) -> None:
    assert allocator_environment("glibc_huge", {}, linux(tmp_path)) == {
        "GLIBC_TUNABLES": f"{MALLOC_TUNABLES}:glibc.malloc.hugetlb=1"
    }


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("always madvise [never]", "which are off; as root: echo madvise >"),
        ("", "which are off"),
        ("[always] madvise never", "every allocator gets huge pages here"),
    ],
)
def test_huge_pages_are_asked_for_where_that_changes_anything(
    tmp_path: Path, file: str, said: str
) -> None:
    root = write(linux(tmp_path), {HUGE_PAGES: file})
    assert said in (missing_allocator("glibc_huge", root) or "")
    assert "glibc_huge" not in usable_allocators(root)


@pytest.mark.parametrize(("name", "library"), [("tcmalloc", TCMALLOC), ("jemalloc", JEMALLOC)])
def test_a_library_is_preloaded_before_those_kept_and_has_its_own_defaults(
    tmp_path: Path, name: str, library: str
) -> None:
    caller = {
        "LD_PRELOAD": "/opt/libtrace.so:/opt/libjemalloc.so.1",
        "MALLOC_CONF": "narenas:1",
        "GLIBC_TUNABLES": MALLOC_TUNABLES,
    }
    assert allocator_environment(name, caller, linux(tmp_path)) == {
        "LD_PRELOAD": f"{library}:/opt/libtrace.so"
    }


def test_the_environment_of_the_caller_is_left_as_it_is(tmp_path: Path) -> None:
    caller = {"LD_PRELOAD": "/opt/libtcmalloc.so", "MALLOC_CONF": "x"}
    allocator_environment("jemalloc", caller, linux(tmp_path))
    assert caller == {"LD_PRELOAD": "/opt/libtcmalloc.so", "MALLOC_CONF": "x"}


@pytest.mark.parametrize(
    ("release", "tcmalloc", "jemalloc"),
    [
        (
            "ID=debian\nVERSION_ID=12",
            "as root: apt install libtcmalloc-minimal4",
            "as root: apt install libjemalloc2",
        ),
        (
            'ID=pop\nID_LIKE="ubuntu debian"',
            "as root: apt install libtcmalloc-minimal4",
            "as root: apt install libjemalloc2",
        ),
        (
            'NAME="Rocky Linux"\nID="rocky"\nID_LIKE="rhel centos fedora"',
            "as root: dnf install gperftools-libs",
            "as root: dnf install jemalloc",
        ),
        ("ID=fedora", "as root: dnf install gperftools-libs", "as root: dnf install jemalloc"),
        (
            "ID=arch",
            "install it with the package manager of this system (often named gperftools)",
            "install it with the package manager of this system (often named jemalloc)",
        ),
    ],
)
def test_what_to_install_is_named_for_the_system_at_hand(
    tmp_path: Path, release: str, tcmalloc: str, jemalloc: str
) -> None:
    write(tmp_path, {"/etc/os-release": release})
    start = "the allocator {} is not installed; {}"
    assert missing_allocator("tcmalloc", tmp_path) == start.format("tcmalloc", tcmalloc)
    assert missing_allocator("jemalloc", tmp_path) == start.format("jemalloc", jemalloc)
    with pytest.raises(EnvironmentFault, match="the allocator jemalloc is not installed"):
        allocator_environment("jemalloc", {}, tmp_path)


def test_tuned_glibc_needs_glibc(tmp_path: Path) -> None:
    write(tmp_path, {"/lib/ld-musl-x86_64.so.1": "", "/etc/os-release": "ID=alpine"})
    assert "needs glibc" in (missing_allocator("glibc_tuned", tmp_path) or "")
    assert usable_allocators(tmp_path) == ("default",)


def test_all_are_usable_where_all_are_installed(tmp_path: Path) -> None:
    assert usable_allocators(linux(tmp_path)) == tuple(ALLOCATORS)


def test_an_unknown_allocator_is_refused_with_the_closest(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown allocator 'tcmaloc'; did you mean 'tcmalloc'"):
        missing_allocator("tcmaloc", tmp_path)
    with pytest.raises(UsageError, match="unknown allocator 'mimalloc'"):
        allocator_environment("mimalloc", {}, tmp_path)


def test_an_installed_library_is_named_by_its_path(tmp_path: Path) -> None:
    write(tmp_path, {TCMALLOC: "", f"{FOLDER}/libtcmalloc_minimal_debug.so.4": ""})
    assert find_library("tcmalloc", tmp_path) == TCMALLOC
    write(tmp_path, {f"/usr/local/lib/libtcmalloc.so{end}": "" for end in ("", ".4")})
    assert find_library("tcmalloc", tmp_path) == "/usr/local/lib/libtcmalloc.so.4"
    assert find_library("jemalloc", tmp_path) is None


def test_a_library_for_another_processor_is_not_taken(tmp_path: Path) -> None:
    write(tmp_path, {"/usr/lib/i386-linux-gnu/libjemalloc.so.2": ""})
    assert find_library("jemalloc", tmp_path) is None
    write(tmp_path, {"/usr/lib/libjemalloc.so.2": "", "/usr/lib64/libjemalloc.so.2": ""})
    assert find_library("jemalloc", tmp_path) == "/usr/lib64/libjemalloc.so.2"


@pytest.mark.parametrize("name", ALLOCATORS)
def test_a_process_runs_under_the_allocator_that_its_environment_chose(name: str) -> None:
    assert answer(ASK, environment_of(name)) == [name]


def test_an_allocator_that_the_caller_preloads_is_not_the_default() -> None:
    preloaded = environment_of("tcmalloc")
    assert answer(ASK, preloaded) == ["tcmalloc"]
    assert answer(ASK, allocator_environment("default", preloaded)) == ["default"]


def test_a_library_that_is_only_mapped_serves_nobody(tmp_path: Path) -> None:
    library = tmp_path / "libjemalloc.so.2"
    library.write_bytes(bytes(4096))
    code = f"import mmap; file = open({str(library)!r}, 'r+b')\n"
    code += f"kept = mmap.mmap(file.fileno(), 4096); {ASK}"
    code += f"; print({library.name!r} in open('/proc/self/maps').read())"
    assert answer(code, environment_of("default")) == ["default", "True"]


@pytest.mark.parametrize(
    ("tunables", "kept"),
    [
        ("glibc.malloc.mmap_threshold=4294967296", "default"),
        ("glibc.malloc.trim_threshold=68719476736", "default"),
        ("glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=68719476736", "glibc_tuned"),
    ],
)
def test_half_of_the_tuning_keeps_no_blocks(tunables: str, kept: str) -> None:
    environment = {**environment_of("glibc_tuned"), "GLIBC_TUNABLES": tunables}
    assert answer(ASK, environment) == [kept]


def test_freed_blocks_below_the_dynamic_threshold_do_not_pass_for_tuning() -> None:
    code = (
        "import ctypes; library = ctypes.CDLL(None); library.malloc.restype = ctypes.c_void_p\n"
        "for _ in range(3):\n"
        "    block = library.malloc(ctypes.c_size_t(30 * 2**20)); ctypes.memset(block, 1, 2**20)\n"
        f"    library.free(ctypes.c_void_p(block))\n{ASK}"
    )
    assert answer(code, environment_of("default")) == ["default"]


def test_what_is_called_tuned_faults_no_more_and_the_default_on_every_page() -> None:
    tuned, default = environment_of("glibc_tuned"), environment_of("default")
    assert int(answer(FAULTS, tuned)[0]) < 16
    assert int(answer(FAULTS, default)[0]) >= 32


@pytest.mark.parametrize("name", ALLOCATORS)
def test_freed_memory_goes_back_to_the_kernel_under_each_allocator(name: str) -> None:
    held, after = map(int, answer(RELEASE, environment_of(name)))
    assert held - after > 120 * 2**20


def test_asking_for_the_allocator_leaves_no_memory_behind() -> None:
    code = (
        "from coresplit.machine.allocators import loaded_allocator\n"
        "from pathlib import Path\n"
        "statm = Path('/proc/self/statm')\n"
        "before = int(statm.read_text().split()[1]); loaded_allocator()\n"
        "print((int(statm.read_text().split()[1]) - before) * 4096)"
    )
    for name in ("default", "glibc_tuned"):
        assert int(answer(code, environment_of(name))[0]) < 8 * 2**20


@pytest.mark.parametrize("name", ["default", "glibc_tuned", "glibc_huge"])
def test_room_that_was_freed_before_hides_no_allocator(name: str) -> None:
    # the last block keeps the heap from shrinking, so that a hole of 300 MB stays below it
    code = f"held = [b'x' * 10**5 for _ in range(3001)]; del held[:3000]; {ASK}"
    assert answer(code, environment_of(name)) == [name]


def test_a_process_without_64_mib_says_so() -> None:
    code = (
        "import resource; from coresplit.machine.allocators import loaded_allocator\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * 4096\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + 2**25, used + 2**25))\n"
        "try:\n    loaded_allocator()\nexcept MemoryError as error:\n    print(error)"
    )
    said = " ".join(answer(code, environment_of("default")))
    assert "64 MiB" in said


def test_this_process_has_an_allocator_that_can_be_told_to_release() -> None:
    assert loaded_allocator()
    assert release_memory() is ("CS_GNU_LIBC_VERSION" in os.confstr_names)
