"""Errors meant for the person at the keyboard: one sentence that names the file and the mend."""


class MvmodelError(Exception):
    """Base of every error that a user can mend. Its message is shown without a traceback."""


class InputError(MvmodelError):
    """A file, table or argument cannot be used; the message says why and what to do."""


class PackError(MvmodelError):
    """A model pack or adapter is missing, incomplete or does not fit."""
