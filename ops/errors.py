"""Errors shown to the user in one line.

Inner code says what is wrong and with which tensor; outer code adds the node and the file.
"""


class Onnx2SnnError(Exception):
    """Base of every error the user can cause and mend; `exit_status` is the command's."""

    exit_status = 1


class ModelError(Onnx2SnnError):
    """The model file is damaged, unsafe or beyond what can be converted or run."""


class DataError(Onnx2SnnError):
    """Arrays handed in do not fit the model: name, type, rank or shape."""


class UsageError(Onnx2SnnError):
    """A setting is outside its range or contradicts another one."""

    exit_status = 2
