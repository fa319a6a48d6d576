"""What all scripts of the workflow share: logging, and user errors without tracebacks."""

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
    """Run a script's body, log to the rule's log file and the terminal, and handle errors.

    A ScrupleError is logged as its message, and the exit status is 1. Any other exception is a bug
    and is logged with its traceback. SIGTERM, which a cluster sends before it kills a job, ends the
    process cleanly: finished work is written and no partial files remain.
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
