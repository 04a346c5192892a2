"""Servers of the models that clients ask, one for all tests of a worker."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from servers import SPLIT, TOKEN, save_images, save_simple, save_types
from serving_process import served

LATENCY_MS = 200


@pytest.fixture(scope="session")
def simple(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Host and port of a server of the model ``simple``."""
    yield from _served(tmp_path_factory.mktemp("simple"), save_simple, "simple")


@pytest.fixture(scope="session")
def types(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Host and port of a server of the model ``types``."""
    yield from _served(tmp_path_factory.mktemp("types"), save_types, "types")


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Host and port of a server of the model that the documentation asks."""
    yield from _served(tmp_path_factory.mktemp("images"), save_images, "mobilenet_v3_large")


@pytest.fixture(scope="session")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Host and port of a server that asks for a token and takes a while for each request."""
    folder = tmp_path_factory.mktemp("slow")
    (folder / "token").write_text(TOKEN)
    words = ("--split", "1x1", "--token-file", "token")
    with served(f"fake:{LATENCY_MS}ms@4", *words, folder=folder) as (_, url):
        yield url.split("/")[2]


def _served(folder: Path, save: Callable[[Path], Path], name: str) -> Iterator[str]:
    with served(str(save(folder)), "--name", name, *SPLIT, folder=folder) as (_, url):
        yield url.split("/")[2]
