"""A handler of TorchServe that takes raw numbers; its first call is to load the model."""

from typing import Any

from served import Model, bytes_of, joined, load, options, parted, rows_of

given = options()
_models: list[Model] = []


def handle(data: list[dict[str, Any]] | None, context: object) -> list[bytes] | None:
    if not _models:
        _models.append(load(given))
    if data is None:
        return None
    rows = [rows_of(each["body"], given.inputs) for each in data]
    found = parted(_models[0](joined(rows)), [len(each[0]) for each in rows])
    return [bytes_of(each) for each in found]
