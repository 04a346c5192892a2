import subprocess
import sys

import pytest

from coresplit.errors import UsageError
from coresplit.optimizations import (
    OPTIMIZATIONS,
    Optimization,
    missing_packages,
    optimization_named,
    usable,
)


def test_importing_the_optimizations_does_not_import_torch() -> None:
    code = (
        "import sys; from coresplit.optimizations import *; usable('script');"
        "print([name for name in ('torch', 'numpy') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_the_registry_holds_each_optimization_under_its_name() -> None:
    assert list(OPTIMIZATIONS) == ["none", "script"]
    for name, optimization in OPTIMIZATIONS.items():
        assert optimization_named(name) is optimization
        assert optimization.name == name
        assert not optimization.lossy
        assert optimization.title and "\n" not in optimization.description


@pytest.mark.parametrize(("name", "close"), [("scrpt", "script"), ("non", "none")])
def test_an_unknown_optimization_is_refused_with_the_closest_name(name: str, close: str) -> None:
    with pytest.raises(UsageError) as caught:
        optimization_named(name)
    assert str(caught.value) == (
        f"unknown optimization '{name}'; did you mean '{close}'? (coresplit list shows all)"
    )


def test_a_name_like_no_other_points_to_the_list() -> None:
    with pytest.raises(UsageError) as caught:
        usable("zzz")
    assert str(caught.value) == "unknown optimization 'zzz'; coresplit list shows all"


def test_what_is_installed_is_usable_and_what_is_not_says_how_to_get_it() -> None:
    assert usable("none") is None
    assert usable("script") is None
    absent = Optimization(
        name="warp",
        title="Warp",
        description="not there",
        lossy=True,
        packages=("torch", "no_such_package_here"),
        extra="warp",
        module="coresplit.optimizations.none",
    )
    assert missing_packages(absent) == (
        "warp needs no_such_package_here: pip install 'coresplit[warp]'"
    )
