"""What the workflow's scripts share: logs, and errors without tracebacks."""

from __future__ import annotations

import contextlib
import logging
import signal
import sys
from collections.abc import Iterator
from typing import Any

from scruple.errors import ScrupleError

log = logging.getLogger("scruple")


@contextlib.contextmanager
def job(snakemake: Any) -> Iterator[logging.Logger]:
    """Run a script's body: log to the rule's log file and the terminal, end plainly on errors.

    A ScrupleError becomes its message and exit status 1; anything else is a fault of the program
    and keeps its traceback, which goes to the log file too. A SIGTERM, with which a cluster takes a
    job's place away, ends it in an orderly way: what is finished is written, and nothing is left.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    if snakemake.log:
        handlers.append(logging.FileHandler(str(snakemake.log[0]), mode="w"))
    for handler in handlers:
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
        log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield log
    except ScrupleError as error:
        log.error("ERROR in %s: %s", snakemake.rule, error)
        sys.exit(1)
    except Exception:
        log.exception("unexpected failure in %s", snakemake.rule)
        sys.exit(1)
    finally:
        for handler in handlers:
            log.removeHandler(handler)
            handler.close()
