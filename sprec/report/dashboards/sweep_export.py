"""A file of `conf/sweep/` as a W&B sweep: `python -m sprec.report wandb-sweep ablation dataset=movielens`.

`wandb sweep FILE` registers what is printed here and names the command for each machine that shall work
on it (`wandb agent …`). Hydra and W&B then run the same jobs, from the same configuration.
"""

import argparse
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).resolve().parents[2]
SWEEPS = next(root / "conf" / "sweep" for root in (HERE, HERE.parent) if (root / "conf").is_dir())
"""The sweeps that there are: beside the code in a checkout, inside it when installed."""

PROGRAM = "sprec.run"
# Agents of several machines may start jobs in the same second, so that the time alone names no folder.
FOLDER = "hydra.run.dir=outputs/wandb/${oc.env:WANDB_RUN_ID}"

_ITEM = re.compile(r"""(?:[^,\[\](){}'"]|\[[^\]]*\]|\((?:[^()]|\([^()]*\))*\)|\{[^}]*\}|'[^']*'|"[^"]*")+""")
_CALL = re.compile(r"(\w+)\((.*)\)")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print or write a W&B sweep; return 0, or 2 after one line on what is wrong."""
    options = _parser().parse_args(arguments)
    try:
        path = _path(options.sweep)
        text = document(path, options.overrides)
        if options.output is None:
            sys.stdout.write(text)
        else:
            options.output.write_text(text, encoding="utf-8")
    except (ValueError, OSError) as error:
        sys.stderr.write(f"sprec.report: {error}\n")
        return 2
    return 0


def document(path: Path, overrides: Sequence[str] = ()) -> str:
    """Return the YAML for `wandb sweep`; its head says how to use it."""
    head = "# wandb sweep THIS_FILE; then, on each machine, the command that it names (wandb agent …).\n"
    body: str = yaml.safe_dump(sweep(path, overrides), sort_keys=False, allow_unicode=True, width=100)
    return head + body


def sweep(path: Path, overrides: Sequence[str] = ()) -> dict[str, object]:
    """Return a Hydra sweep file as a W&B sweep.

    An override with several values, as `seed=0,1`, joins the grid; any other is part of every command.
    `ValueError` for a file without a grid, a value that W&B cannot vary, or an override that is none.
    """
    content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    grid = _sweeper(content).get("params")
    if not isinstance(grid, Mapping) or not grid:
        raise ValueError(f"{path} varies nothing; it needs hydra.sweeper.params with a line per key")
    given = dict(map(_pair, overrides))
    fixed = {key: value for key, value in given.items() if not _varies(value)}
    parameters = {
        key: parameter(key, str(values)) for key, values in {**grid, **given}.items() if key not in fixed
    }
    limit = _sweeper(content).get("n_trials")
    grids = all("values" in each for each in parameters.values())
    return {
        "name": path.stem,
        "program": PROGRAM,
        "method": "grid" if grids else "random",
        **({} if grids or limit is None else {"run_cap": limit}),
        "command": [
            *("${env}", "${interpreter}", "-m", "${program}", "tracker=wandb", FOLDER),
            *_whole(path.stem, content),
            *(f"{key}={value}" for key, value in fixed.items()),
            "${args_no_hyphens}",
        ],
        "parameters": parameters,
    }


def parameter(key: str, values: str) -> dict[str, object]:
    """Return what W&B varies for the values that Hydra's sweep syntax gives `key`.

    >>> parameter("seed", "0,1")
    {'values': [0, 1]}
    >>> parameter("cutoffs", "[1,5],[1,10]")
    {'values': ['[1,5]', '[1,10]']}
    >>> parameter("budget.iterations", "range(1,4)")
    {'values': [1, 2, 3]}
    >>> parameter("method.objective.beta", "tag(log, interval(0.01, 1))")
    {'distribution': 'log_uniform_values', 'min': 0.01, 'max': 1}
    """
    call = _CALL.fullmatch(values.strip())
    if call is None:
        return {"values": [_typed(item) for item in _items(values)]}
    name, inside = call.groups()
    items = _items(inside)
    match name, [_typed(item) for item in items]:
        case "choice", found:
            return {"values": found}
        case "range", [*bounds] if all(isinstance(bound, int) for bound in bounds):
            return {"values": list(range(*(bound for bound in bounds if isinstance(bound, int))))}
        case "interval", [low, high]:
            return {"min": low, "max": high}
        case "tag", ["log", _]:
            return {"distribution": "log_uniform_values", **parameter(key, items[1])}
    raise ValueError(f"{key}={values}: W&B has nothing like {name}(…) here; list the values, as {key}=1,2")


def _path(name: str) -> Path:
    """Return the sweep of this name; `ValueError` with the names that there are."""
    path = SWEEPS / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(each.stem for each in SWEEPS.glob("*.yaml")))
        raise ValueError(f"there is no sweep {name}; choose one of {known}")
    return path


def _sweeper(content: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = (content.get("hydra") or {}).get("sweeper") or {}
    return found


def _whole(name: str, content: Mapping[str, Any]) -> list[str]:
    """Return what makes each job read the sweep's file too, where that sets more than what is varied."""
    defaults = [each for each in content.get("defaults", []) if "override /hydra/" not in str(each)]
    more = {key for key in content if key not in ("hydra", "defaults")}
    return [f"+sweep={name}", "hydra.mode=RUN"] if more or defaults else []


def _pair(override: str) -> tuple[str, str]:
    key, equals, value = override.partition("=")
    if not (key and equals):
        raise ValueError(f"{override!r} is no setting; give it as KEY=VALUE")
    return key, value


def _varies(value: str) -> bool:
    return len(_items(value)) > 1 or _CALL.fullmatch(value) is not None


def _items(text: str) -> list[str]:
    """Return what commas separate, outside of brackets and quotes."""
    return [item.strip() for item in _ITEM.findall(text)]


def _typed(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sprec.report wandb-sweep", description=__doc__)
    parser.add_argument("sweep", help="the name of a file of conf/sweep, e.g. ablation")
    parser.add_argument(
        "overrides",
        nargs="*",
        metavar="KEY=VALUE",
        help="for every job; several values (seed=0,1) are varied",
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="write to this file, not to the terminal")
    return parser
