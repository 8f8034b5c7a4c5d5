"""Exceptions whose message is shown to the user: one sentence that names the file or setting and the fix."""


class MvmodelError(Exception):
    """Base class of every error that the user can fix. The command line prints its message without a traceback."""


class InputError(MvmodelError):
    """Raised if a file, table, setting or argument cannot be used."""


class PackError(MvmodelError):
    """Raised if a model pack or adapter is missing, incomplete or incompatible."""


class Terminated(KeyboardInterrupt):
    """SIGTERM arrived; like Ctrl-C it ends a command, which cleans up behind itself."""


class TrainingInterrupted(Exception):
    """Training stopped on SIGINT or SIGTERM after writing a checkpoint; the same call resumes.

    signal_number: which of the two it was.
    """

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.signal_number = signal_number

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (str(self), self.signal_number)  # it may come from another process
