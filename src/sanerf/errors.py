"""The errors a user can cause or meet, each one sentence that says what was expected, what came and what to do."""


class UserError(ValueError):
    """Bad input: a file, a prompt or an option that cannot be used as it is. The command line exits with 2."""


class MissingExtraError(UserError):
    """An optional package is not installed.

    `package` is what failed to import, `extra` the extra of sanerf that brings it.
    """

    def __init__(self, package: str, extra: str):
        super().__init__(f"this needs {package}, which is not installed: pip install 'sanerf[{extra}]'")


class ProcessLostError(RuntimeError):
    """Another process of a parallel training has ended, as far as this one can tell. The command line exits with 1.

    `reason` is what torch said.
    """

    def __init__(self, reason: str):
        super().__init__(
            f"another of the processes that train together has ended ({reason}); what it said tells why, and the same "
            "command goes on from the last checkpoint"
        )


class WorkerLostError(RuntimeError):
    """Workers that jobs were handed to were killed, each time that the job was done again. The command line exits with
    1.

    `jobs` is how many are not done, `reason` what Ray said of the first.
    """

    def __init__(self, jobs: int, reason: str):
        super().__init__(
            f"the workers of {jobs} job{'s' if jobs > 1 else ''} were killed again and again, perhaps for want of "
            f"memory ({reason}); all other results are kept, and the same command goes on from there, if need be with "
            "fewer --workers"
        )


class DownloadError(RuntimeError):
    """A file could not be fetched: no network, a server that refuses or breaks off, or bytes that are not the file's.
    The command line exits with 1."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory is used up: Python's own, or torch's RuntimeError for any device."""
    words = ("can't allocate memory", "out of memory")
    return isinstance(error, MemoryError) or any(word in str(error) for word in words)


def on_one_line(error: Exception) -> str:
    """An exception's own words without line breaks, to be quoted in a UserError (torch likes to write lists)."""
    return " ".join(str(error).split())
