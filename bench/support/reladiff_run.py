"""Compares the generated tables of two databases with `reladiff`, and prints JSON.

Run as a program: `python -m bench.support.reladiff_run ONE_DSN OTHER_DSN`. Every column that it
can compare is compared; what it cannot is named.
"""

import importlib
import json
import logging
import sys
import warnings

from bench.support.data import SHAPES

_THREADS = 2


def main() -> None:
    """Compare table by table."""
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    # By name: it is installed only for the benchmarks, and brings no types.
    reladiff = importlib.import_module("reladiff")

    one, other = sys.argv[1:3]
    compared, differences, skipped = 0, 0, {}
    for shape in SHAPES:
        others = tuple(name for name in shape.columns if name not in shape.key)
        tables = [
            reladiff.connect_to_table(
                dsn, f"public.{shape.name}", shape.key, extra_columns=others, thread_count=_THREADS
            )
            for dsn in (one, other)
        ]
        try:
            differences += len(
                list(
                    reladiff.diff_tables(
                        *tables,
                        algorithm=reladiff.Algorithm.HASHDIFF,
                        threaded=True,
                        max_threadpool_size=_THREADS,
                    )
                )
            )
            compared += 1
        except Exception as error:  # noqa: BLE001 - what it cannot compare is reported
            skipped[shape.name] = f"{type(error).__name__}: {error}".splitlines()[0][:120]
    facts = {"version": reladiff.__version__, "tables": compared, "differences": differences}
    json.dump({**facts, "skipped": skipped}, sys.stdout)


if __name__ == "__main__":
    main()
