"""What is said of libraries: their versions, and the first line of what they complain of."""

from importlib.metadata import version

_LONGEST = 300


def versions(*packages: str) -> dict[str, str]:
    """The installed version of each package, by its name; nothing is imported."""
    return {package: version(package) for package in packages}


def first_line(error: BaseException) -> str:
    """The cause of a library's failure in one line: that of the innermost error it came from."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines()]
    said = next((line for line in lines if line), "")
    name = type(error).__name__
    return f"{name}: {said[:_LONGEST]}" if said else name
