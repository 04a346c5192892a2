import platform
from importlib.metadata import version

from coresplit.machine.allocators import MALLOC_TUNABLES
from coresplit.machine.software import software


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
