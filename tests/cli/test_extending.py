"""A run is extended in place: what is added is measured, the rest stays as it is."""

from pathlib import Path

import msgspec
import pytest
from plan_runs import MACHINE, four_cores

from coresplit import store
from coresplit.cli.launching import instance_spec
from coresplit.cli.request import Options, extended, settings_of
from coresplit.errors import UsageError
from coresplit.models import ModelSpec
from coresplit.records import Cell, Run


def run() -> Run:
    return four_cores(("script",))


def test_lists_are_united_numbers_ascending_and_names_in_order() -> None:
    options = Options(
        resume=Path("four"),
        optimizations="none,script",
        threads="3",
        batches="2,16",
        setting="packed",
    )
    found = extended(run(), options, MACHINE)
    assert found.optimizations == ("script", "none")
    assert found.threads == (1, 2, 3, 4)
    assert found.batches == (1, 2, 4, 8, 16)
    assert found.settings == ("isolated", "packed")
    assert found.cores == 4


def test_what_is_not_named_stays_as_it_was() -> None:
    before = run().settings
    found = extended(run(), Options(resume=Path("four")), MACHINE)
    assert found == msgspec.structs.replace(before, cores=4)


def test_threads_beyond_the_machine_are_refused() -> None:
    with pytest.raises(UsageError, match="8 is too many"):
        extended(run(), Options(resume=Path("four"), threads="8"), MACHINE)


def test_a_rewritten_manifest_keeps_what_was_measured(tmp_path: Path) -> None:
    store.save(tmp_path / "four", run())
    before, writer = store.reopen(tmp_path / "four")
    with writer:
        wider = msgspec.structs.replace(before.settings, batches=(1, 2, 4, 8, 16))
        writer.rewrite(msgspec.structs.replace(before, settings=wider))
        writer.append(before.measurements[0])
    after = store.load(tmp_path / "four")
    assert after.settings.batches == (1, 2, 4, 8, 16)
    assert after.measurements == before.measurements


def test_the_inputs_of_a_run_are_settled_and_go_to_its_instances() -> None:
    settings = msgspec.structs.replace(run().settings, inputs="rotate")
    before = msgspec.structs.replace(run(), settings=settings)
    assert extended(before, Options(resume=Path("four")), MACHINE).inputs == "rotate"
    assert settings_of(Options(model="inception", inputs="rotate"), MACHINE).inputs == "rotate"
    assert settings_of(Options(model="inception"), MACHINE).inputs == "hot"
    cell = Cell(optimization="script", threads=1, batch=1)
    made = instance_spec(ModelSpec(name="inception"), cell, (0,), (0,), MACHINE, inputs="rotate")
    assert made.inputs == "rotate"
