"""The `sanerf` command: parses, runs one command, turns errors into exit codes (0 done, 2 bad input, 1 otherwise)."""

import errno
import os
import signal
import sys
import traceback
from contextlib import redirect_stderr, redirect_stdout

# Waiting threads should spin for some microseconds, then sleep. A training step on two idle cores takes 64 ms so, 98 ms
# where they sleep at once; beside two other programs 143 and 184 ms. (OpenMP's default spins for long: 67 ms idle, and
# slowest of all beside others.) OpenMP reads this when torch is first imported, so it stands here.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

import sanerf
from sanerf.errors import DownloadError, ProcessLostError, UserError, WorkerLostError, is_out_of_memory
from sanerf.torchrun import first_one_ends_us, is_first_process, process_count

_INTERRUPTED = "interrupted; nothing is half written"
_GOES_ON = ", and the same command goes on from what this one has done"


def main() -> None:
    """Entry point of the console script."""
    # Whoever asks a program to end, as a batch system does, gets the same as at Control-C: a checkpoint, a clean disk.
    signal.signal(signal.SIGTERM, _asked_to_end)
    if sys.argv[1:] == ["--version"]:
        print(f"sanerf {sanerf.__version__}")
        sys.exit(0)
    try:
        command = _parse() if is_first_process() else _parse_silently()
    except KeyboardInterrupt:
        sys.exit(_interrupted())
    sys.exit(run_command(command))


def _asked_to_end(*_: object) -> None:
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # so a shell starts what runs in the background
        raise KeyboardInterrupt
    signal.raise_signal(signal.SIGINT)


def _parse():
    try:
        from sanerf.cli.arguments import parse_command
        from sanerf.cli.commands import COMMANDS
    except ImportError as error:
        if error.name not in ("tyro", "rich"):
            raise
        print(f"sanerf: the command line needs {error.name}: pip install 'sanerf[cli]'", file=sys.stderr)
        sys.exit(2)
    try:
        return parse_command(COMMANDS, sys.argv[1:])
    except UserError as error:
        sys.exit(_fail(str(error), 2))


def _parse_silently():
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        try:
            return _parse()
        except SystemExit:
            first_one_ends_us()
            raise


def run_command(command) -> int:
    """Run a parsed command; its exit code."""
    try:
        if not 0 <= command.seed < 2**63:
            raise UserError(f"--seed should be from 0 to 2^63 - 1, not {command.seed}")
        if process_count() > 1 and not command.in_parallel:
            raise UserError("torchrun is for `sanerf train` alone; call this command without it")
        command.run()
    except UserError as error:
        return _fail_once(str(error), 2)
    except (DownloadError, ProcessLostError, WorkerLostError) as error:
        return _fail_once(str(error), 1)
    except KeyboardInterrupt:
        return _interrupted(command.goes_on)
    except BrokenPipeError:
        return 1
    except OSError as error:
        if error.filename is not None and error.errno is not None:
            return _fail_once(f"cannot read or write {error.filename}: {os.strerror(error.errno)}", 2)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return _fail_once(f"cannot write a file: {os.strerror(error.errno)}", 2)
        traceback.print_exc()
        return 1
    except Exception as error:
        if is_out_of_memory(error):
            return _fail(f"out of memory; {command.needs_less}", 1)
        traceback.print_exc()
        return _fail("this is an error in sanerf, not in what you gave it", 1)
    return 0


def _interrupted(goes_on: bool = False) -> int:
    return _fail(_INTERRUPTED + (_GOES_ON if goes_on else ""), 1) if is_first_process() else 1


def _fail_once(message: str, code: int) -> int:
    """The same failure in all processes is said by the first."""
    return _fail(message, code) if is_first_process() or not first_one_ends_us() else code


def _fail(message: str, code: int) -> int:
    print(f"sanerf: {message}", file=sys.stderr)
    return code


if __name__ == "__main__":
    main()
