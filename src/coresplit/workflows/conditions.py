"""The conditions under which a run was measured, and whether they still hold."""

from coresplit.errors import MismatchError, RunError, UsageError
from coresplit.instance import Ready
from coresplit.machine.environment import software
from coresplit.machine.fingerprint import differences, fingerprint
from coresplit.models import MODELS, ModelSpec, describe, is_fake, packages_of, validate
from coresplit.models.sources import source_of
from coresplit.optimizations import optimization_named
from coresplit.records import Machine, ModelInfo, Run, Settings


def spec_again(run: Run, weights: str | None, trust: bool) -> ModelSpec:
    """Rebuild the spec of the model of a run; for a built-in model, its inputs give the size.

    Raises UsageError if the run folder names Python code, unless ``trust`` allows it: the author of
    the folder chose that code.
    """
    if not trust and source_of(run.model.source).kind == "python":
        raise UsageError(
            f"run {run.name} names the Python code '{run.model.source}' as its model",
            "if you trust it, give {option}",
            "trust=True",
        )
    built_in = run.model.source in MODELS
    stated = built_in or is_fake(run.model.source)
    spec = ModelSpec(
        name=run.model.source,
        size=run.model.inputs[0].shape[-1] if built_in else None,
        inputs=() if stated else run.model.inputs,
        weights=weights,
        seed=run.settings.seed,
        trust=trust,
    )
    validate(spec)
    return spec


def require_same(run: Run, machine: Machine, model: ModelInfo) -> None:
    """Raise MismatchError, with the differences, unless the run is of this machine and model."""
    if run.machine is None:
        raise RunError(f"run {run.name} was imported from tables, so it cannot be run here")
    there = fingerprint(run.machine, run.software, run.model)
    here = software(libraries_of(run.settings, run.model.source))
    different = differences(there, fingerprint(machine, here, model))
    if different:
        raise MismatchError(
            f"run {run.name} was measured under other conditions: {'; '.join(different)}; "
            "start a new run instead"
        )


def libraries_of(settings: Settings, model: str) -> tuple[str, ...]:
    """Return the packages that the results depend on: those of the optimizations and the model."""
    if is_fake(model):
        return ()
    packages = [optimization_named(name).packages for name in settings.optimizations]
    return tuple(dict.fromkeys(["torch", "numpy", *sum(packages, ()), *packages_of(model)]))


def model_info(spec: ModelSpec, ready: Ready) -> ModelInfo:
    """Return what the run folder stores about the model."""
    name, title = describe(spec.name)
    return ModelInfo(
        name=name,
        title=title,
        source=spec.name,
        inputs=ready.inputs,
        flops=ready.flops,
        parameters=ready.parameters,
        weights=ready.weights,
        largest_tensor=ready.largest_tensor,
    )
