"""Changes that make an inference request invalid or unusual."""

import json
from collections.abc import Callable
from typing import Any

from oracle_requests import Draft

Change = Callable[[Draft], None]


def field(name: str, *choices: object) -> Change:
    """Set a field of one input to another value; remove it if there are no choices."""

    def change(draft: Draft) -> None:
        one = draft.dice.choice(draft.inputs)
        if choices:
            one[name] = draft.dice.choice(choices)
        else:
            one.pop(name, None)

    return change


def top(name: str, *choices: object) -> Change:
    """Set a field of the request."""

    def change(draft: Draft) -> None:
        draft.top[name] = draft.dice.choice(choices)

    return change


def parameter(name: str, *choices: object) -> Change:
    """Set a parameter of the request."""
    return lambda draft: draft.top.setdefault("parameters", {}).update(
        {name: draft.dice.choice(choices)}
    )


def element(*choices: object) -> Change:
    """Replace one value of an input, flat or nested."""

    def change(draft: Draft) -> None:
        at: Any = draft.dice.choice(draft.inputs)["data"]
        while isinstance(at[0], list):
            at = at[0]
        at[draft.dice.randrange(len(at))] = draft.dice.choice(choices)

    return change


def data(*choices: Callable[[Any], object]) -> Change:
    """Change the values of one input as a whole."""

    def change(draft: Draft) -> None:
        one = draft.dice.choice(draft.inputs)
        one["data"] = draft.dice.choice(choices)(one["data"])

    return change


def shape(*choices: Callable[[list[int]], object]) -> Change:
    """Change the shape of one input, but not its values."""

    def change(draft: Draft) -> None:
        one = draft.dice.choice(draft.inputs)
        one["shape"] = draft.dice.choice(choices)(one["shape"])

    return change


def size(*choices: Callable[[int], object]) -> Change:
    """Change the stated length of the binary data of one input."""

    def change(draft: Draft) -> None:
        told = draft.dice.choice(draft.inputs)["parameters"]
        told["binary_data_size"] = draft.dice.choice(choices)(told["binary_data_size"])

    return change


def outputs(*choices: object) -> Change:
    """Request outputs; NAME stands for the name of the last one."""

    def change(draft: Draft) -> None:
        text = json.dumps(draft.dice.choice(choices)).replace("NAME", draft.model.outputs[-1])
        draft.outputs = json.loads(text)

    return change


def text(edit: Callable[[bytes], bytes]) -> Change:
    """Change the JSON as text."""

    def change(draft: Draft) -> None:
        draft.edit = edit

    return change


def length(*choices: Callable[[int], str | None]) -> Change:
    """State another length of the JSON; None leaves it out."""

    def change(draft: Draft) -> None:
        draft.length = draft.dice.choice(choices)

    return change


def header(name: str, *choices: str) -> Change:
    """Send a header."""
    return lambda draft: draft.headers.update({name: draft.dice.choice(choices)})


def target(*choices: str) -> Change:
    """Use another path; NAME stands for the name of the model."""
    return lambda draft: setattr(
        draft, "target", draft.dice.choice(choices).replace("NAME", draft.model.name)
    )


def sent(how: Callable[[bytes], bytes], **headers: str) -> Change:
    """Change the bytes of the body."""

    def change(draft: Draft) -> None:
        draft.send = how
        draft.headers |= {name.replace("_", "-"): value for name, value in headers.items()}

    return change


def twice(draft: Draft) -> None:
    """Repeat one input."""
    at = draft.dice.randrange(len(draft.inputs))
    draft.inputs.append(draft.inputs[at])
    draft.tail += draft.tail[at : at + 1]


def missing(draft: Draft) -> None:
    """Leave one input out."""
    at = draft.dice.randrange(len(draft.inputs))
    del draft.inputs[at]
    del draft.tail[at : at + 1]


def more(draft: Draft) -> None:
    """Add an input that the model does not have."""
    draft.add("other", draft.arrays[0], bool(draft.tail))


def both(draft: Draft) -> None:
    """Add the values of one binary input in JSON too."""
    draft.inputs[0]["data"] = draft.arrays[0].tolist()


def no_object(draft: Draft) -> None:
    """Replace an input by something that is no object."""
    draft.inputs[0] = draft.dice.choice([1, "x", None, []])  # type: ignore[call-overload]


def other_type(draft: Draft) -> None:
    """Name a type that is not the model's."""
    wrong = "FP32" if draft.model.datatype == "INT64" else "INT64"
    draft.dice.choice(draft.inputs)["datatype"] = wrong


def nested(depth: int) -> Change:
    """Nest the values of the first input ``depth`` levels deep in lists of one."""

    def change(draft: Draft) -> None:
        value = json.dumps(draft.inputs[0].pop("data"))
        draft.inputs[0]["data"] = "HERE"
        deep = "[" * depth + value + "]" * depth
        draft.edit = lambda header: header.replace(b'"HERE"', deep.encode())

    return change
