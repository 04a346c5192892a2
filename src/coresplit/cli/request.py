"""What ``bench`` was asked to do, checked before anything is started or written."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import msgspec

from coresplit.cli.output import say
from coresplit.errors import EnvironmentFault, UsageError
from coresplit.format import format_cores
from coresplit.machine.allocators import missing_allocator
from coresplit.machine.placement import place
from coresplit.models import MODELS, ModelSpec, form_of, parse_input, validate
from coresplit.optimizations import OPTIMIZATIONS, require_applicable, usable
from coresplit.records import Form, Inputs, Machine, Mapping, Run, Setting, Settings
from coresplit.sweep import anchor_of, cells_of
from coresplit.units import parse_duration, parse_numbers, parse_share

ALL = "all"
DEFAULT_OPTIMIZATIONS: dict[Form, str] = {"module": "none,script", "onnx": "onnxruntime"}
DEFAULT_BATCHES = "1,2,4..1024"
DEFAULT_BUDGET, DEFAULT_PRECISION = "10m", "2%"
QUICK_BUDGET, QUICK_PRECISION = "2m", "5%"


EXTENDING = {
    "optimizations": "optimizations",
    "threads": "threads",
    "batches": "batches",
    "mapping": "mappings",
    "allocator": "allocators",
    "setting": "settings",
}
"""Options whose lists may be added to a run, and the field of the settings that has them."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """The command line as typed; None where the user said nothing."""

    model: str | None = None
    optimizations: str | None = None
    threads: str | None = None
    batches: str | None = None
    budget: str | None = None
    precision: str | None = None
    mapping: str | None = None
    allocator: str | None = None
    setting: str | None = None
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
    wait: bool = False
    no_report: bool = False
    as_json: bool = False


def spec_of(options: Options) -> ModelSpec:
    """The model that the options name, checked as far as can be without loading it."""
    if options.model is None:
        raise UsageError("name a model, for example: coresplit bench inception")
    family = MODELS.get(options.model)
    sizes = {"pixels": options.input_size, "tokens": options.length}
    given = [unit for unit, size in sizes.items() if size is not None]
    if len(given) > 1:
        raise UsageError("--input-size is for images and --length for texts; give one of them")
    if family is not None and given not in ([], [family.unit]):
        right = {"pixels": "--input-size", "tokens": "--length"}[family.unit]
        raise UsageError(f"{options.model} is measured in {family.unit}; give {right} instead")
    spec = ModelSpec(
        name=options.model,
        size=sizes[given[0]] if given else None,
        inputs=tuple(parse_input(text) for text in options.input),
        weights=options.weights,
        seed=options.seed or 0,
        trust=options.trust,
    )
    validate(spec)
    return spec


def settings_of(options: Options, machine: Machine) -> Settings:
    """The sweep that the options ask for on this machine; raises UsageError for what cannot be.

    Of a run that is resumed they are only what is added to it.
    """
    optimizations = _optimizations(options)
    threads = _threads(options.threads or "auto", machine)
    batches = DEFAULT_BATCHES if options.batches in (None, "", "auto") else options.batches
    precision = QUICK_PRECISION if options.quick else DEFAULT_PRECISION
    settings = Settings(
        optimizations=optimizations,
        threads=threads,
        batches=parse_numbers(str(batches), "batches"),
        mappings=_mappings(options.mapping or "sequential", threads[-1], machine),
        allocators=_allocators(options.allocator or "default"),
        settings=_settings(options.setting or "isolated"),
        cores=machine.usable,
        budget_s=budget_of(options),
        precision=parse_share(options.precision or precision),
        seed=options.seed or 0,
        inputs=_inputs(options.inputs or "hot"),
    )
    if options.resume is not None:
        return settings
    require_pack(settings)
    return msgspec.structs.replace(settings, anchor=anchor_of(settings))


def extended(run: Run, options: Options, machine: Machine) -> Settings:
    """The settings of a run, and whatever lists the options add to them.

    Raises UsageError for what cannot be, as ``settings_of`` does.
    """
    before = run.settings
    asked = settings_of(msgspec.structs.replace(options, model=run.model.source), machine)
    lists = {
        field: _united(getattr(before, field), getattr(asked, field))
        for option, field in EXTENDING.items()
        if getattr(options, option) is not None
    }
    settings = msgspec.structs.replace(before, **lists, cores=machine.usable)
    require_pack(settings)
    return settings


def require_pack(settings: Settings) -> None:
    """Refuse a packed setting without isolated cells beside it, or without any packed cell."""
    if "packed" not in settings.settings:
        return
    if "isolated" not in settings.settings:
        raise UsageError(
            "packed cells are compared with isolated ones, and one instance on all cores is "
            "isolated; ask for --setting isolated,packed"
        )
    if all(cell.setting == "isolated" for cell in cells_of(settings)):
        raise UsageError(
            f"no cell can be packed: two copies or more must fit on "
            f"{format_cores(settings.cores)}, and their inputs together in the "
            f"largest batch, {max(settings.batches)}; leave out --setting packed"
        )


def budget_of(options: Options) -> float | None:
    """Seconds of the budget, or None for ``none``: measure everything."""
    text = options.budget or (QUICK_BUDGET if options.quick else DEFAULT_BUDGET)
    return None if text == "none" else parse_duration(text)


def refuse_settled(options: Options) -> None:
    """Refuse what a run that is resumed has settled already; its lists may be extended."""
    allowed = {"model", "resume", "budget", "weights", "trust", "wait", "no_report", "as_json"}
    allowed |= set(EXTENDING)
    for name, value in msgspec.structs.asdict(options).items():
        if name not in allowed and value not in (None, False, ()):
            shown = f"--{name.replace('_', '-')}"
            raise UsageError(f"--resume goes on as {options.resume} was begun; leave out {shown}")


def refuse_other_model(run: Run, options: Options) -> None:
    """Refuse a MODEL that is not that of the run, whose file or folder may be spelled otherwise."""
    there, here = run.model.source or run.model.name, options.model
    if here is None or here == there or _path_of(here) == _path_of(there) is not None:
        return
    raise UsageError(
        f"{options.resume} is a run of {there}, not of {here}; leave out MODEL to go on with it, "
        "or leave out --resume"
    )


def _path_of(model: str) -> Path | None:
    """Where a model that came as a file or folder lies; None for any other."""
    if ":" not in model and model in MODELS:
        return None
    path = Path(model.removeprefix("hf:")).expanduser()
    return path.resolve() if path.exists() else None


def _optimizations(options: Options) -> tuple[str, ...]:
    """The optimizations asked for, all of them usable here and fit for what the model came as."""
    model = str(options.model)
    form = form_of(model)
    text = options.optimizations or DEFAULT_OPTIMIZATIONS[form]
    if text == ALL:
        fitting = [name for name, each in OPTIMIZATIONS.items() if form in each.takes]
        lacking = {name: missing for name in fitting if (missing := usable(name)) is not None}
        for missing in lacking.values():
            say(f"left out: {missing}")
        return tuple(name for name in fitting if name not in lacking)
    names = _names(text, "optimizations")
    require_applicable(names, form, model)
    for name in names:
        missing = usable(name)
        if missing is not None:
            raise EnvironmentFault(f"optimization '{name}' cannot be used here: {missing}")
    return names


def _allocators(text: str) -> tuple[str, ...]:
    names = _names(text, "allocator")
    for name in names:
        missing = missing_allocator(name)
        if missing is not None:
            raise EnvironmentFault(missing)
    return names


def _settings(text: str) -> tuple[Setting, ...]:
    names = _names(text, "setting")
    for name in names:
        if name not in get_args(Setting):
            raise UsageError(f"unknown setting '{name}'; choose {' or '.join(get_args(Setting))}")
    return tuple(msgspec.convert(name, Setting) for name in names)


def _inputs(name: str) -> Inputs:
    if name not in get_args(Inputs):
        raise UsageError(f"unknown inputs '{name}'; choose {' or '.join(get_args(Inputs))}")
    inputs: Inputs = msgspec.convert(name, Inputs)
    return inputs


def _united(before: tuple[Any, ...], added: tuple[Any, ...]) -> tuple[Any, ...]:
    """Both lists without repetition: numbers ascending, names in the order they came."""
    both = dict.fromkeys([*before, *added])
    return tuple(sorted(both)) if isinstance(before[0], int) else tuple(both)


def _names(text: str, what: str) -> tuple[str, ...]:
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise UsageError(f"{what} '{text}' has an empty entry; separate names by one comma")
    repeated = _first_repeated(names)
    if repeated is not None:
        raise UsageError(f"{what} '{text}' repeats {repeated}; name each once")
    return tuple(names)


def _first_repeated(names: Sequence[str]) -> str | None:
    return next((name for index, name in enumerate(names) if name in names[:index]), None)


def _mappings(text: str, threads: int, machine: Machine) -> tuple[Mapping, ...]:
    mappings: list[Mapping] = []
    for name in _names(text, "mapping"):
        if name not in get_args(Mapping):
            raise UsageError(f"unknown mapping '{name}'; choose {' or '.join(get_args(Mapping))}")
        mapping: Mapping = msgspec.convert(name, Mapping)
        place(machine.cores[: machine.usable], threads, mapping)
        mappings.append(mapping)
    return tuple(mappings)


def _threads(text: str, machine: Machine) -> tuple[int, ...]:
    if machine.usable < 1:
        raise EnvironmentFault(
            f"the CPU quota of {machine.quota_cores:.3g} cores is under one core, so every forward "
            "would be throttled; raise it to at least one core"
        )
    if text == "auto":
        return tuple(range(1, machine.usable + 1))
    threads = parse_numbers(text, "threads")
    if threads[-1] > machine.usable:
        cores = "core is" if machine.usable == 1 else "cores are"
        raise UsageError(
            f"threads '{text}': {threads[-1]} is too many, {machine.usable} {cores} usable here "
            "(see coresplit doctor)"
        )
    return threads
