"""Every error coresplit raises on purpose, and where it belongs.

    CoresplitError
    ├── UsageError          the arguments cannot be followed            (cli, models, optimizations)
    │   └── NotMeasured         a plan needs cells that the run lacks: which
    ├── EnvironmentFault    the machine lacks what was asked for        (machine, models, report)
    │   └── CoresInUse          another process measures on the cores: who
    ├── RunError            a run folder cannot be used                 (store)
    │   ├── DamagedRunError     a file of it is damaged: file and line
    │   └── MismatchError       it was measured on something else: the differences
    ├── TableError          a CSV cannot be read: file and line         (store)
    ├── StorageError        the disk refused a write                    (store)
    └── InstanceError       an instance failed                          (instance)
        ├── InstanceDied        the process ended: how, and its last words
        ├── InstanceTimeout     it did not answer before its deadline
        ├── LateStart           several could not be started at the same moment
        ├── InstanceMemory      it could not get the memory a forward needs
        ├── PrepareFailed       the model or optimization failed inside it
        │   └── ModelFault          the model itself cannot be used, also a UsageError
        └── ReadbackMismatch    a setting read back differs from what was asked

The command line prints a ``CoresplitError`` on one line and exits with code 2.
"""

from collections.abc import Mapping

OPTION = "{option}"


class CoresplitError(Exception):
    """Base of all expected errors; its text is one line for the user.

    ``what`` is wrong, ``remedy`` is what to do about it, and ``option`` is the parameter that does
    it, such as ``trust`` or ``allocator=tcmalloc``: parameters of Python and options of the command
    line have the same names. ``remedy`` says where it stands by ``{option}``, else it follows. Both
    may be empty. Given one text, the remedy is what follows its first semicolon.
    """

    def __init__(self, what: str, remedy: str = "", option: str = "") -> None:
        if not remedy:
            what, _, remedy = what.partition("; ")
        self.what = what
        self.template = remedy
        self.option = option
        super().__init__(what, remedy, option)

    @property
    def remedy(self) -> str:
        """What to do about it, with the name of the parameter where it belongs."""
        return self.template.replace(OPTION, self.option)

    def __str__(self) -> str:
        """What is wrong, the remedy, and the parameter for it."""
        return self.told(self.option)

    def told(self, option: str) -> str:
        """The text with the option as the reader would write it."""
        text = f"{self.what}; {self.template}" if self.template else self.what
        if OPTION in self.template:
            return text.replace(OPTION, option)
        return f"{text} ({option})" if option else text


class UsageError(CoresplitError):
    """The arguments cannot be followed as given."""


class NotMeasured(UsageError):
    """A plan asks for cells that the run lacks.

    ``additions`` are the lists of a sweep that would add them, by parameter; None where the run
    cannot be resumed.
    """

    def __init__(
        self, what: str, remedy: str = "", additions: Mapping[str, tuple[object, ...]] | None = None
    ) -> None:
        super().__init__(what, remedy)
        self.additions = additions


class EnvironmentFault(CoresplitError):
    """This machine or installation lacks something that was asked for."""


class CoresInUse(EnvironmentFault):
    """Another process measures on the cores; the text names it."""


class RunError(CoresplitError):
    """A run folder is missing or cannot be used."""


class DamagedRunError(RunError):
    """A file of a run folder is damaged; the text names the file and the line."""


class MismatchError(RunError):
    """A run was measured on another machine or model; the text names the differences."""


class TableError(CoresplitError):
    """A CSV file cannot be read; the text names the file and the line."""


class StorageError(CoresplitError):
    """The disk refused a write, for example because it is full."""


class InstanceError(CoresplitError):
    """An instance failed."""


class InstanceDied(InstanceError):
    """The process of an instance ended unexpectedly; the text holds its last words."""


class InstanceTimeout(InstanceError):
    """An instance did not answer before its deadline and was ended."""


class LateStart(InstanceError):
    """Instances that should begin a round together did not, however often it was repeated."""


class InstanceMemory(InstanceError):
    """A forward inside the instance asked for more memory than there is."""


class PrepareFailed(InstanceError):
    """Loading the model or applying the optimization failed inside the instance."""


class ModelFault(PrepareFailed, UsageError):
    """The model cannot be what was asked for, whatever the optimization; the user's to mend.

    It ends a sweep that has not begun, and of one that goes on only the instance.
    """


class ReadbackMismatch(InstanceError):
    """A setting read back inside the instance differs from what was asked."""
