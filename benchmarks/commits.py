"""`python -m benchmarks.commits BEFORE AFTER`: seconds of SFT and DPO steps of two commits, in turn.

Each commit is cloned and held by a process of its own. A first step of each is not counted; the order turns
with every pair, so that a machine that gets slower or warmer is slower for both.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
READY = "ready"
NEGATIVES = {"SFT": 0, "DPO": 1}

StepRunner = Callable[[str], float]
"""Takes a step of a kind, and returns its seconds."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Console entry."""
    options = _parser().parse_args(arguments)
    rows = dict(zip(NEGATIVES, options.rows, strict=True))
    if options.serve:
        serve(rows, options.threads)
        return
    names = [options.before, options.after]
    with ExitStack() as stack:
        sides = [stack.enter_context(side(name, options)) for name in names]
        for kind in rows:
            print(describe_pairs(kind, names, time_in_turn(kind, sides, options.turns)), flush=True)


def time_in_turn(kind: str, sides: Sequence[StepRunner], turns: int) -> list[tuple[float, float]]:
    """Return the seconds of both sides' steps, pair by pair."""
    pairs = []
    for turn in range(turns + 1):
        order = (0, 1) if turn % 2 else (1, 0)
        seconds = {place: sides[place](kind) for place in order}
        pairs.append((seconds[0], seconds[1]))
    return pairs[1:]


def describe_pairs(kind: str, names: Sequence[str], pairs: Sequence[tuple[float, float]]) -> str:
    """Return medians, and the median and range of the second side's seconds over the first's.

    >>> describe_pairs("SFT", ["a", "b"], [(2.0, 2.0), (2.0, 3.0), (4.0, 4.4)])
    'SFT: a 2.00 s, b 3.00 s; after over before 1.10 (1.00 to 1.50), 3 pairs'
    """
    before, after = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratios = sorted(late / early for early, late in pairs)
    spread = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}), {len(pairs)} pairs"
    return f"{kind}: {names[0]} {before:.2f} s, {names[1]} {after:.2f} s; after over before {spread}"


@contextmanager
def side(commit: str, options: argparse.Namespace) -> Iterator[StepRunner]:
    """Hold a process of the commit's own code for a while; `RuntimeError` where it ends early."""
    with tempfile.TemporaryDirectory(prefix="sprec-commit-") as place:
        subprocess.run(["git", "clone", "--quiet", str(ROOT), place], check=True)
        subprocess.run(["git", "-C", place, "checkout", "--quiet", commit], check=True)
        words = ["--serve", commit, commit, "--rows", *map(str, options.rows), "--threads", options.threads]
        # This file, with the other commit's packages: before those of the installation.
        command = [sys.executable, __file__, *map(str, words)]
        environment = {**os.environ, "PYTHONPATH": place}
        pipe = subprocess.PIPE
        with subprocess.Popen(
            command, cwd=place, env=environment, text=True, stdin=pipe, stdout=pipe
        ) as process:
            _wait_for(process, READY)
            try:
                yield lambda kind: float(_ask(process, kind))
            finally:
                process.kill()


def _ask(process: "subprocess.Popen[str]", kind: str) -> str:
    assert process.stdin
    process.stdin.write(f"{kind}\n")
    process.stdin.flush()
    return _wait_for(process, "seconds ").removeprefix("seconds ")


def _wait_for(process: "subprocess.Popen[str]", beginning: str) -> str:
    """Return the first line that begins so; what a library prints before it is passed over."""
    assert process.stdout
    for line in process.stdout:
        if line.startswith(beginning):
            return line.strip()
    raise RuntimeError("a commit's process ended; its message stands above")


def serve(rows: dict[str, int], threads: int) -> None:
    """Take the steps that standard input asks for, and print their seconds; imports what PYTHONPATH has."""
    import torch

    from benchmarks import ours
    from benchmarks.setting import Setting, default_settings
    from sprec.llm.precision import has_bf16

    torch.set_num_threads(threads)
    settings = default_settings(bf16=has_bf16("cpu"), threads=threads)
    settings_of = {kind: Setting(settings, rows[kind], negatives) for kind, negatives in NEGATIVES.items()}
    shared = settings_of["SFT"]
    steps = {
        kind: ours.optimiser_step(one if one is shared else one.with_model_of(shared))
        for kind, one in settings_of.items()
    }
    print(READY, flush=True)
    for line in sys.stdin:
        start = time.perf_counter()
        steps[line.strip()]()
        print("seconds", time.perf_counter() - start, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.commits", description=__doc__)
    add = parser.add_argument
    add("before", help="a commit")
    add("after", help="another one")
    add("--rows", type=int, nargs=2, default=[16, 8], metavar=("SFT", "DPO"), help="rows of a step (16 8)")
    add("--turns", type=int, default=5, help="pairs of steps that count (5)")
    add("--threads", type=int, default=len(os.sched_getaffinity(0)))
    add("--serve", action="store_true", help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    main()
