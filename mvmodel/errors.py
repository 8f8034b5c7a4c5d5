"""Exceptions whose message is shown to the user: one sentence that names the file or setting and the fix."""


class MvmodelError(Exception):
    """Base class of every error that the user can fix. The command line prints its message without a traceback."""


class InputError(MvmodelError):
    """Raised if a file, table, setting or argument cannot be used."""


class PackError(MvmodelError):
    """Raised if a model pack or adapter is missing, incomplete or incompatible."""
