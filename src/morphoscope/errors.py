"""Every exception morphoscope raises on purpose.

```
MorphoscopeError          base; exit code 3
├── UsageError            the request cannot be carried out as asked; exit code 2
│   ├── RecipeError       a recipe with an unknown key or an impossible value
│   ├── RunExistsError    the output folder already holds a run
│   └── ProjectConflictError  somebody else changed the same thing of a project since it was read
├── InputError            a file cannot be read or is not what was wanted; exit code 3
│   ├── TruncatedError    a file ends early; what was read before is good
│   └── ModelError        a model file is unreadable, or made for another task or pixel size
└── PartialError          part of the work was done and kept; exit code 4
```

Messages say what was wanted, what came and what to do.
"""


class MorphoscopeError(Exception):
    """Base of all errors raised on purpose; `exit_code` is what the command line ends with."""

    exit_code = 3


class UsageError(MorphoscopeError):
    """The request cannot be carried out as asked."""

    exit_code = 2


class RecipeError(UsageError):
    """A recipe holds an unknown key or an impossible value."""


class RunExistsError(UsageError):
    """The output folder already holds a run."""


class ProjectConflictError(UsageError):
    """Somebody else changed the same thing of a project since it was read; nothing was written."""


class InputError(MorphoscopeError):
    """A file cannot be read or is not what was wanted."""


class TruncatedError(InputError):
    """A file ends before its header says it does; the frames before `frames_read` are good."""

    def __init__(self, message: str, frames_read: int = 0) -> None:
        super().__init__(message)
        self.frames_read = frames_read


class ModelError(InputError):
    """A model file is unreadable, or made for another task or pixel size."""


class PartialError(MorphoscopeError):
    """Part of the work was done and kept; the message lists what failed."""

    exit_code = 4
