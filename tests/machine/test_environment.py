import os
import platform
import subprocess
import sys
from importlib.metadata import version

import pytest

from coresplit.errors import UsageError
from coresplit.machine.allocators import MALLOC_TUNABLES, missing_allocator
from coresplit.machine.environment import (
    THREAD_VARIABLES,
    instance_environment,
    not_inherited,
    software,
)
from coresplit.machine.placement import thread_environment

CALLER = {
    "HOME": "/root",
    "OMP_NUM_THREADS": "64",
    "OMP_WAIT_POLICY": "active",
    "KMP_AFFINITY": "compact",
    "GOMP_SPINCOUNT": "9",
    "MKL_NUM_THREADS": "3",
    "OPENBLAS_NUM_THREADS": "3",
    "LD_PRELOAD": "/opt/libtrace.so:/opt/libtcmalloc.so",
    "GLIBC_TUNABLES": "glibc.cpu.x86_shstk=off",
}


def test_threads_and_allocator_are_replaced_and_everything_else_is_inherited() -> None:
    assert instance_environment(CALLER, (4, 0), "default") == {
        "HOME": "/root",
        "LD_PRELOAD": "/opt/libtrace.so",
        "GLIBC_TUNABLES": "glibc.cpu.x86_shstk=off",
        **thread_environment((4, 0)),
    }


def test_nothing_that_an_instance_sets_escapes_the_names_that_are_dropped() -> None:
    assert all(name.startswith(THREAD_VARIABLES) for name in thread_environment((0,)))


def test_an_unknown_allocator_is_refused() -> None:
    with pytest.raises(UsageError, match="unknown allocator 'tuned'"):
        instance_environment({}, (0,), "tuned")


def test_what_is_not_inherited_is_named_in_order() -> None:
    assert not_inherited(CALLER) == tuple(list(CALLER)[1:8])
    assert not_inherited({"HOME": "/", "LD_PRELOAD": "/opt/libtrace.so"}) == ()
    assert not_inherited({"GLIBC_TUNABLES": MALLOC_TUNABLES}) == ("GLIBC_TUNABLES",)
    assert not_inherited(thread_environment((0,))) == tuple(thread_environment((0,)))


def test_a_child_sees_the_tuned_heap_and_its_cores() -> None:
    missing = missing_allocator("glibc_tuned")
    if missing is not None:
        pytest.skip(missing)
    code = (
        "import os; from coresplit.machine.allocators import loaded_allocator\n"
        "print(os.environ['OMP_PLACES'], loaded_allocator())"
    )
    environment = instance_environment(
        os.environ | CALLER | {"LD_PRELOAD": ""}, (0,), "glibc_tuned"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert (ended.stdout, ended.stderr) == ("{0} glibc_tuned\n", "")


def test_versions_of_what_a_measurement_depends_on_are_stated() -> None:
    found = software(environment={})
    assert found["python"] == platform.python_version()
    assert found["torch"] == version("torch")
    assert found["numpy"] == version("numpy")
    assert "GLIBC_TUNABLES" not in found


def test_only_the_libraries_that_matter_are_stated_so_that_others_stop_no_resume() -> None:
    found = software(("msgspec", "no-such-library"), {})
    assert found["msgspec"] == version("msgspec")
    assert "torch" not in found
    assert "no-such-library" not in found


def test_variables_are_stated_as_an_instance_sees_them() -> None:
    variables = {
        "GLIBC_TUNABLES": f"{MALLOC_TUNABLES}:glibc.cpu.x86_shstk=off",
        "LD_PRELOAD": "/opt/libtcmalloc.so.4",
        "MALLOC_ARENA_MAX": "1",
        "THP_MEM_ALLOC_ENABLE": "1",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "ATEN_CPU_CAPABILITY": "",
        "HOME": "/root",
    }
    found = software((), variables)
    assert {name: found[name] for name in found if name in variables} == {
        "GLIBC_TUNABLES": "glibc.cpu.x86_shstk=off",
        "THP_MEM_ALLOC_ENABLE": "1",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
    }
