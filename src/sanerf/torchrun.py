"""Who speaks where torchrun has started several processes: the first, for all, once.

What is wrong with the options or the scene every process finds. Were another to end before the first has said so,
torchrun would end the first unheard, so the others wait for their end.
"""

import os
import time

SECONDS_TO_WAIT = 30.0
"""For the first process, which does the same as its siblings, to end too; torchrun looks ten times a second."""


def process_count() -> int:
    """How many processes torchrun has started for this command, this one among them; 1 without torchrun."""
    return int(os.environ.get("WORLD_SIZE", "1")) if "TORCHELASTIC_RUN_ID" in os.environ else 1


def is_first_process() -> bool:
    """Whether this process is alone or the first of several."""
    return process_count() == 1 or os.environ.get("RANK", "0") == "0"


def first_one_ends_us() -> bool:
    """Wait until torchrun ends this process, as it does when the first has failed. False if that has not: what went
    wrong is then this process's alone to say."""
    try:
        time.sleep(SECONDS_TO_WAIT)
    except KeyboardInterrupt:
        return True
    return False
