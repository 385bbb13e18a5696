"""A file under another name, without its bytes twice where that can be had."""

import os
import shutil
from pathlib import Path


def linked_copy(old: Path, new: Path) -> None:
    """The file under another name, too: a link where the file system has them, else a copy.

    What is written by renaming into its place, as all our files are, changes neither. FileNotFoundError without `old`.
    """
    try:
        os.link(old, new)
    except FileNotFoundError:
        raise
    except OSError:
        shutil.copyfile(old, new)
