"""List stored stages, or prune them: `python -m sprec.store [--older-than AGE] [--unused-by PATH …]`."""

import argparse
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from sprec.caches import default_store
from sprec.command_line import CommandParser, run_command
from sprec.store.errors import StoreError, explain_store_errors
from sprec.store.inventory import StoredStage, list_stages, remove_stage, used_keys, with_inputs
from sprec.store.store import Store

DAY = 86400.0
KEPT_NAMES = ("dataset", "weights", "engine")
"""Stages that records do not list; `--unused-by` leaves them alone, `--older-than` does not."""

_UNITS = {"": DAY, "d": DAY, "h": 3600.0, "m": 60.0}


def main(arguments: Sequence[str] | None = None) -> int:
    """List the stages, or remove those that all given conditions hold for; return 0, or 2 after one line."""
    return run_command(_parser(), arguments, _run, StoreError)


def _run(options: argparse.Namespace) -> None:
    with explain_store_errors(options.root, "written"):
        _list_or_prune(options)


def _list_or_prune(options: argparse.Namespace) -> None:
    stages = list_stages(options.root)
    chosen = _choose(stages, options)
    pruning = options.older_than is not None or bool(options.unused_by)
    for stage in chosen:
        sys.stdout.write(_line(stage) + "\n")
        if pruning and not options.dry_run:
            remove_stage(options.root, stage)
    checkpoints = _handle_checkpoints(options, pruning=pruning)
    # Killed runs leave partial folders as large as stages, which the list above does not show.
    if pruning and not options.dry_run and options.root.is_dir():
        Store(options.root).remove_dead_partials(any_lock=True)
    total = format_bytes(sum(stage.size_bytes for stage in chosen) + checkpoints)
    done = ("would be removed" if options.dry_run else "removed") if pruning else "stored"
    sys.stdout.write(f"{len(chosen)} stages, {total} {done}; {options.root}\n")


def _handle_checkpoints(options: argparse.Namespace, *, pruning: bool) -> int:
    """List what unfinished stages go on from, or remove what nobody goes on with; return its bytes.

    `--older-than` says how long nobody has written it. `--unused-by` alone leaves it: no record holds the key
    of a stage that is not finished, so nobody can say whether its run is to go on.
    """
    if pruning and options.older_than is None:
        return 0
    store, total = Store(options.root), 0
    for folder in store.checkpoint_folders():
        entries = [path.stat() for path in (folder, *folder.rglob("*"))]
        age = time.time() - max(entry.st_mtime for entry in entries)
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        chosen = age >= (options.older_than or 0.0)
        is_removed = pruning and chosen and store.remove_checkpoints(folder, dry_run=options.dry_run)
        if is_removed or not pruning:
            name, _, key = folder.name.rpartition(".")
            written = f"checkpoints of an unfinished stage, written {format_age(age)} ago"
            sys.stdout.write(f"{name:10} {key}  {format_bytes(size):>9}  {written}\n")
            total += size
    return total


def _choose(stages: Sequence[StoredStage], options: argparse.Namespace) -> list[StoredStage]:
    chosen = list(stages)
    if options.older_than is not None:
        limit = time.time() - options.older_than
        chosen = [stage for stage in chosen if stage.used_at < limit]
    if options.unused_by:
        needed = with_inputs(used_keys(options.unused_by), stages)
        chosen = [stage for stage in chosen if stage.key not in needed and stage.name not in KEPT_NAMES]
    return chosen


def _line(stage: StoredStage) -> str:
    now = time.time()
    commit = str(stage.made.get("commit") or "unknown")[:10] + " (dirty)" * bool(stage.made.get("dirty"))
    maker = f"{commit} {stage.made.get('user', '')}@{stage.made.get('host', '')}".removesuffix(" @")
    ages = f"made {format_age(now - stage.made_at)} ago, used {format_age(now - stage.used_at)} ago"
    return f"{stage.name:10} {stage.key}  {format_bytes(stage.size_bytes):>9}  {ages:36}  {maker}"


def format_age(seconds: float) -> str:
    """Return an age in the unit that people would use.

    >>> format_age(90), format_age(7200), format_age(3 * DAY)
    ('2 min', '2 h', '3 d')
    """
    if seconds < 3600:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h" if seconds < 2 * DAY else f"{seconds / DAY:.0f} d"


def format_bytes(count: float) -> str:
    """Return a size with a prefix.

    >>> format_bytes(999), format_bytes(1_384_456)
    ('999 B', '1.4 MB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def _seconds(text: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([dhm]?)", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no age; say 30d, 12h or 45m")
    return float(match[1]) * _UNITS[match[2]]


def _parser() -> CommandParser:
    parser = CommandParser("sprec.store", __doc__)
    add = parser.add_argument
    add("--root", type=Path, default=default_store(), help="the store (default: that of SPREC_HOME)")
    add("--older-than", type=_seconds, metavar="AGE", help="remove stages not used for this long: 30d, 12h")
    add("--unused-by", type=Path, nargs="+", metavar="PATH", help="remove stages that no record below uses")
    add("--dry-run", action="store_true", help="only say what would be removed")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
