"""The fingerprint that decides whether a run may be resumed on this machine."""

from collections.abc import Mapping

from coresplit.records import Machine, ModelInfo


def fingerprint(machine: Machine, software: Mapping[str, str], model: ModelInfo) -> dict[str, str]:
    """Return everything that must be equal for a run to be resumed, as text by name.

    ``software`` maps a library to its version.
    """
    kinds = [core.kind for core in machine.cores[: machine.usable]]
    mixed = {"fast cores": str(kinds.count("fast"))} if any(kinds) else {}
    return {
        "CPU model": machine.cpu_model,
        "usable cores": str(machine.usable),
        **mixed,
        "NUMA nodes": str(machine.nodes),
        "memory": f"{machine.memory / 2**30:.0f} GiB",
        "kernel": machine.kernel,
        **software,
        "model": model.name,
        "inputs": " ".join(map(str, model.inputs)),
        "weights": model.weights,
    }


def differences(there: Mapping[str, str], here: Mapping[str, str]) -> list[str]:
    """Return the differences of two fingerprints, such as ``kernel: 6.1 there, 6.8 here``.

    Memory may differ by 1 GiB: the kernel reserves a different amount at every boot.
    """
    pairs = {
        name: (there.get(name) or "none", here.get(name) or "none")
        for name in dict.fromkeys([*there, *here])
    }
    return [
        f"{name}: {a} there, {b} here"
        for name, (a, b) in pairs.items()
        if a != b and not (name == "memory" and _nearly_equal(a, b))
    ]


def _nearly_equal(a: str, b: str) -> bool:
    sizes = [text.removesuffix(" GiB") for text in (a, b)]
    return all(size.isdecimal() for size in sizes) and abs(int(sizes[0]) - int(sizes[1])) <= 1
