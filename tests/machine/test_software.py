import platform
from importlib.metadata import version

from coresplit.machine.software import software


def test_versions_of_what_a_measurement_depends_on_are_stated() -> None:
    found = software({})
    assert found["python"] == platform.python_version()
    assert found["torch"] == version("torch")
    assert "GLIBC_TUNABLES" not in found


def test_allocator_settings_belong_to_the_software_because_they_change_latencies() -> None:
    tunables = "glibc.malloc.mmap_threshold=4294967296"
    found = software({"GLIBC_TUNABLES": tunables, "LD_PRELOAD": "", "HOME": "/root"})
    assert found["GLIBC_TUNABLES"] == tunables
    assert "LD_PRELOAD" not in found
    assert "HOME" not in found
