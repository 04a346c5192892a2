"""The request for a sweep, checked before anything is started or written."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

import msgspec

from coresplit import optimizations
from coresplit.errors import EnvironmentFault, UsageError
from coresplit.format import format_cores, format_numbers
from coresplit.machine.allocators import ALLOCATORS, missing_allocator
from coresplit.machine.placement import place
from coresplit.models import MODELS, ModelSpec, form_of, is_fake, parse_input, validate
from coresplit.optimizations import OPTIMIZATIONS, require_applicable
from coresplit.records import Form, Inputs, Machine, Mapping, Run, Setting, Settings
from coresplit.sweep import anchor_of, cells_of
from coresplit.units import MOST

ALL = "all"
DEFAULT_OPTIMIZATIONS: dict[Form, tuple[str, ...]] = {
    "module": ("none", "script"),
    "onnx": ("onnxruntime",),
}
DEFAULT_BATCHES = tuple(2**power for power in range(11))
DEFAULT_BUDGET_S, DEFAULT_PRECISION = 600.0, 0.02
QUICK_BUDGET_S, QUICK_PRECISION = 120.0, 0.05

EXTENDING = {
    "optimizations": "optimizations",
    "threads": "threads",
    "batches": "batches",
    "mapping": "mappings",
    "allocator": "allocators",
    "setting": "settings",
}
"""Lists that may be added to a run, and the field of the settings for each."""
AGAIN = {"model", "resume", "budget", "weights", "trust", *EXTENDING}
"""Fields that may be given when a run is resumed."""

Note = Callable[[str], None]
"""Called with each line that the user should know but need not act on."""
T = TypeVar("T")


class BenchRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A sweep; None means the default.

    ``budget`` is in seconds, infinite to measure everything; ``precision`` is a share. ``input``
    has one text such as ``image=3x224x224:float32`` for each input of the model.
    """

    model: str | None = None
    optimizations: tuple[str, ...] | Literal["all"] | None = None
    threads: tuple[int, ...] | None = None
    batches: tuple[int, ...] | None = None
    budget: float | None = None
    precision: float | None = None
    mapping: tuple[str, ...] | None = None
    allocator: tuple[str, ...] | None = None
    setting: tuple[str, ...] | None = None
    inputs: str | None = None
    quick: bool = False
    input_size: int | None = None
    length: int | None = None
    input: tuple[str, ...] = ()
    trust: bool = False
    weights: str | None = None
    seed: int | None = None
    out: Path | None = None
    resume: Path | None = None

    @property
    def budget_s(self) -> float | None:
        """Seconds of the budget, or None to measure everything."""
        budget = self.budget
        if budget is None:
            budget = QUICK_BUDGET_S if self.quick else DEFAULT_BUDGET_S
        if not budget > 0:
            raise UsageError(f"a budget of {budget:g} s is not positive; give a longer one")
        return None if math.isinf(budget) else budget


def spec_of(request: BenchRequest) -> ModelSpec:
    """Return the requested model, checked as far as possible without loading it."""
    if request.model is None:
        raise UsageError("no model is named; name one, for example inception")
    family = MODELS.get(request.model)
    sizes = {"pixels": request.input_size, "tokens": request.length}
    given = [unit for unit, size in sizes.items() if size is not None]
    if len(given) > 1:
        raise UsageError("an input size is for images and a length for texts; give one of them")
    if family is not None and given not in ([], [family.unit]):
        right = {"pixels": "input_size", "tokens": "length"}[family.unit]
        raise UsageError(
            f"{request.model} is measured in {family.unit}", "give {option} instead", right
        )
    spec = ModelSpec(
        name=request.model,
        size=sizes[given[0]] if given else None,
        inputs=tuple(parse_input(text) for text in request.input),
        weights=request.weights,
        seed=request.seed or 0,
        trust=request.trust,
    )
    validate(spec)
    return spec


def settings_of(request: BenchRequest, machine: Machine, note: Note) -> Settings:
    """Return the settings of the requested sweep; raise UsageError if it is impossible here.

    For a resumed run, they are only what is added to it.
    """
    optimizations = _optimizations(request, note)
    threads = _threads(request.threads, machine)
    precision = request.precision
    if precision is None:
        precision = QUICK_PRECISION if request.quick else DEFAULT_PRECISION
    if not 0 < precision < 1:
        raise UsageError(f"a precision of {precision:g} is not a share; give one such as 0.02")
    batches = DEFAULT_BATCHES if request.batches is None else request.batches
    settings = Settings(
        optimizations=optimizations,
        threads=threads,
        batches=_ascending(batches, "batches"),
        mappings=_mappings(request.mapping or ("sequential",), threads[-1], machine),
        allocators=_allocators(request),
        settings=_among(request.setting or ("isolated",), get_args(Setting), "setting"),
        cores=machine.usable,
        budget_s=request.budget_s,
        precision=precision,
        seed=request.seed or 0,
        inputs=_inputs(request.inputs or "hot"),
    )
    if request.resume is not None:
        return settings
    require_pack(settings)
    return msgspec.structs.replace(settings, anchor=anchor_of(settings))


def extended(run: Run, request: BenchRequest, machine: Machine, note: Note) -> Settings:
    """Return the settings of a run, extended by the requested lists.

    Raises UsageError as ``settings_of`` does.
    """
    before = run.settings
    asked = settings_of(msgspec.structs.replace(request, model=run.model.source), machine, note)
    lists = {
        field: _united(getattr(before, field), getattr(asked, field))
        for name, field in EXTENDING.items()
        if getattr(request, name) is not None
    }
    settings = msgspec.structs.replace(before, **lists, cores=machine.usable)
    require_pack(settings)
    return settings


def require_pack(settings: Settings) -> None:
    """Raise UsageError for a packed setting without isolated cells or without any packed cell."""
    if "packed" not in settings.settings:
        return
    if "isolated" not in settings.settings:
        raise UsageError(
            "packed cells are compared with isolated ones",
            "ask for {option}",
            "setting=isolated,packed",
        )
    if all(cell.setting == "isolated" for cell in cells_of(settings)):
        raise UsageError(
            f"no cell can be packed: two copies or more must fit on "
            f"{format_cores(settings.cores)}, and their inputs together in the "
            f"largest batch, {max(settings.batches)}",
            "leave out packed",
        )


def refuse_settled(request: BenchRequest) -> None:
    """Refuse options that a resumed run has already fixed; its lists may be extended."""
    for name, value in msgspec.structs.asdict(request).items():
        if name not in AGAIN and value not in (None, False, ()):
            raise UsageError(
                f"{request.resume} keeps its settings when resumed", "leave out {option}", name
            )


def refuse_other_model(run: Run, request: BenchRequest) -> None:
    """Refuse a model other than that of the run; its path may be spelled differently."""
    there, here = run.model.source or run.model.name, request.model
    if here is None or here == there or _path_of(here) == _path_of(there) is not None:
        return
    raise UsageError(
        f"{request.resume} is a run of {there}, not of {here}; leave out the model to resume it, "
        "or start a new run"
    )


def _path_of(model: str) -> Path | None:
    """Return the path of a model that is a file or folder; None for any other."""
    if ":" not in model and model in MODELS:
        return None
    path = Path(model.removeprefix("hf:")).expanduser()
    return path.resolve() if path.exists() else None


def _optimizations(request: BenchRequest, note: Note) -> tuple[str, ...]:
    """Return the requested optimizations, checked to be usable here and for the model's form."""
    model = str(request.model)
    form = form_of(model)
    usable = (lambda name: None) if is_fake(model) else optimizations.usable
    names = request.optimizations or DEFAULT_OPTIMIZATIONS[form]
    if names == ALL:
        fitting = [name for name, each in OPTIMIZATIONS.items() if form in each.takes]
        lacking = {name: missing for name in fitting if (missing := usable(name)) is not None}
        for missing in lacking.values():
            note(f"left out: {missing}")
        return tuple(name for name in fitting if name not in lacking)
    names = _once(tuple(names), "optimizations")
    require_applicable(names, form, model)
    for name in names:
        missing = usable(name)
        if missing is not None:
            raise EnvironmentFault(f"optimization '{name}' cannot be used here: {missing}")
    return names


def _allocators(request: BenchRequest) -> tuple[str, ...]:
    names = _once(request.allocator or ("default",), "allocator")
    for name in names:
        missing = missing_allocator(name)
        # a formula needs no library, but its names are checked like any others
        if missing is not None and (name not in ALLOCATORS or not is_fake(str(request.model))):
            raise EnvironmentFault(missing)
    return names


def _mappings(names: tuple[str, ...], threads: int, machine: Machine) -> tuple[Mapping, ...]:
    mappings: tuple[Mapping, ...] = _among(names, get_args(Mapping), "mapping")
    for mapping in mappings:
        place(machine.cores[: machine.usable], threads, mapping)
    return mappings


def _inputs(name: str) -> Inputs:
    (inputs,) = _among((name,), get_args(Inputs), "inputs")
    found: Inputs = msgspec.convert(inputs, Inputs)
    return found


def _threads(threads: tuple[int, ...] | None, machine: Machine) -> tuple[int, ...]:
    if machine.usable < 1:
        raise EnvironmentFault(
            f"the CPU quota of {machine.quota_cores:.3g} cores is under one core, so every forward "
            "would be throttled; raise it to at least one core"
        )
    if threads is None:
        return tuple(range(1, machine.usable + 1))
    if _ascending(threads, "threads")[-1] > machine.usable:
        cores = "core is" if machine.usable == 1 else "cores are"
        raise UsageError(
            f"threads {format_numbers(threads)}: {threads[-1]} is too many, {machine.usable} "
            f"{cores} usable here (doctor says why)"
        )
    return threads


def _ascending(numbers: tuple[int, ...], what: str) -> tuple[int, ...]:
    if not numbers:
        raise UsageError(f"{what} is empty; give it a value or leave it out")
    if numbers[0] < 1 or numbers[-1] > MOST or list(numbers) != sorted(set(numbers)):
        raise UsageError(
            f"{what} {', '.join(map(str, numbers))}: give whole numbers from 1 to {MOST}, ascending"
        )
    return numbers


def _among(names: tuple[str, ...], known: Sequence[T], what: str) -> tuple[T, ...]:
    for name in _once(names, what):
        if name not in known:
            raise UsageError(f"unknown {what} '{name}'; choose {' or '.join(map(str, known))}")
    return tuple(known[list(known).index(name)] for name in names)  # type: ignore[arg-type]


def _once(names: tuple[str, ...], what: str) -> tuple[str, ...]:
    if not names or not all(names):
        raise UsageError(f"{what} is empty; give it a value or leave it out")
    repeated = next((name for index, name in enumerate(names) if name in names[:index]), None)
    if repeated is not None:
        raise UsageError(f"{what} repeats {repeated}; name each once")
    return names


def _united(before: tuple[Any, ...], added: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return both lists without duplicates: numbers ascending, names in the given order."""
    both = dict.fromkeys([*before, *added])
    return tuple(sorted(both)) if isinstance(before[0], int) else tuple(both)
