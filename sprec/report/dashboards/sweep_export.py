"""A file of `conf/sweep/` as a W&B sweep: `python -m sprec.report wandb-sweep ablation dataset=movielens`.

`wandb sweep FILE` registers what is printed here and names the command (`wandb agent …`) to start on each
machine that is to work on it. Hydra and W&B then run the same jobs, from the same configuration.
"""

import argparse
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from sprec.boundaries import suggest
from sprec.command_line import CommandParser, run_command

ROOT = Path(__file__).resolve().parents[2]
# The folder of options: beside the code in a checkout, inside it when installed.
CONF = next(root / "conf" for root in (ROOT, ROOT.parent) if (root / "conf").is_dir())
SWEEPS = CONF / "sweep"

PROGRAM = "sprec.run"
# Agents of several machines may start jobs in the same second, so that the time alone names no folder.
FOLDER = "hydra.run.dir=outputs/wandb/${oc.env:WANDB_RUN_ID}"

# Hydra's own parser would do, but only the commands that compose a configuration may import Hydra.
_ITEM = re.compile(r"""(?:[^,\[\](){}'"]|\[[^\]]*\]|\((?:[^()]|\([^()]*\))*\)|\{[^}]*\}|'[^']*'|"[^"]*")+""")
_CALL = re.compile(r"(\w+)\((.*)\)")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print or write a W&B sweep; return 0, or 2 after one line on what is wrong."""
    return run_command(_parser(), arguments, _export_sweep)


def _export_sweep(options: argparse.Namespace) -> None:
    text = sweep_yaml(_sweep_path(options.sweep), options.overrides)
    if options.output is None:
        sys.stdout.write(text)
    else:
        options.output.write_text(text, encoding="utf-8")


def sweep_yaml(path: Path, overrides: Sequence[str] = ()) -> str:
    """Return the YAML for `wandb sweep`; its head says how to use it."""
    head = "# wandb sweep THIS_FILE; then, on each machine, the command that it names (wandb agent …).\n"
    body: str = yaml.safe_dump(convert_sweep(path, overrides), sort_keys=False, allow_unicode=True, width=100)
    return head + body


def convert_sweep(path: Path, overrides: Sequence[str] = ()) -> dict[str, object]:
    """Return a Hydra sweep file as a W&B sweep.

    An override with several values, as `seed=0,1`, joins the grid; any other is part of every command.
    `ValueError` for a file without a grid, a value that W&B cannot vary, or an override without `=`.
    """
    content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    sweeper = (content.get("hydra") or {}).get("sweeper") or {}
    grid = sweeper.get("params")
    if not isinstance(grid, Mapping) or not grid:
        raise ValueError(f"{path} varies nothing; it needs hydra.sweeper.params with a line per key")
    typed = dict(map(_split_override, overrides))
    # Options of one's own, in a folder that the words name, are not looked for.
    for key, values in typed.items() if "hydra.searchpath" not in typed else ():
        _check_override(key, values)
    fixed = {key: value for key, value in typed.items() if not _varies(value)}
    parameters = {
        key: convert_values(key, str(values)) for key, values in {**grid, **typed}.items() if key not in fixed
    }
    limit = sweeper.get("n_trials")
    is_grid = all("values" in parameter for parameter in parameters.values())
    return {
        "name": path.stem,
        "program": PROGRAM,
        "method": "grid" if is_grid else "random",
        **({} if is_grid or limit is None else {"run_cap": limit}),
        "command": [
            *("${env}", "${interpreter}", "-m", "${program}", "tracker=wandb", FOLDER),
            *_sweep_option(path.stem, content),
            *(f"{key}={value}" for key, value in fixed.items()),
            "${args_no_hyphens}",
        ],
        "parameters": parameters,
    }


def _check_override(key: str, values: str) -> None:
    """Raise `ValueError` for a key or an option that no configuration has: every agent's job would fail."""
    groups = {folder.name: folder for folder in CONF.iterdir() if folder.is_dir()}
    top = yaml.safe_load((CONF / "config.yaml").read_text(encoding="utf-8"))
    first = re.split(r"[./@]", key.lstrip("+~"))[0]
    if first not in {*groups, *top} and not key.startswith("+"):
        raise ValueError(f"{key}: no such key{suggest(first, [*groups, *top])}")
    options = {file.stem for file in groups[key].glob("*.yaml")} if key in groups else set()
    for value in _split_items(values) if options and _CALL.fullmatch(values.strip()) is None else ():
        if value.strip() not in options:
            raise ValueError(f"{key}={value}: no such option of {key}{suggest(value, sorted(options))}")


def convert_values(key: str, values: str) -> dict[str, object]:
    """Return what W&B varies for the values that Hydra's sweep syntax has for `key`.

    >>> convert_values("seed", "0,1")
    {'values': [0, 1]}
    >>> convert_values("cutoffs", "[1,5],[1,10]")
    {'values': ['[1,5]', '[1,10]']}
    >>> convert_values("budget.iterations", "range(1,4)")
    {'values': [1, 2, 3]}
    >>> convert_values("objective.beta", "tag(log, interval(0.01, 1))")
    {'distribution': 'log_uniform_values', 'min': 0.01, 'max': 1}
    """
    call = _CALL.fullmatch(values.strip())
    if call is None:
        return {"values": [_parse_number(item) for item in _split_items(values)]}
    name, inside = call.groups()
    items = _split_items(inside)
    match name, [_parse_number(item) for item in items]:
        case "choice", choices:
            return {"values": choices}
        case "range", [*bounds] if all(isinstance(bound, int) for bound in bounds):
            return {"values": list(range(*(bound for bound in bounds if isinstance(bound, int))))}
        case "interval", [low, high]:
            return {"min": low, "max": high}
        case "tag", ["log", _]:
            return {"distribution": "log_uniform_values", **convert_values(key, items[1])}
    raise ValueError(f"{key}={values}: W&B has nothing like {name}(…) here; list the values, as {key}=1,2")


def _sweep_path(name: str) -> Path:
    """Return the file of this sweep; `ValueError` with the names that there are."""
    path = SWEEPS / f"{name}.yaml"
    if not path.is_file():
        names = ", ".join(sorted(file.stem for file in SWEEPS.glob("*.yaml")))
        raise ValueError(f"there is no sweep {name}; choose one of {names}")
    return path


def _sweep_option(name: str, content: Mapping[str, Any]) -> list[str]:
    """Return what makes each job read the sweep's file too, where that sets more than what is varied."""
    # W&B runs each job by itself, so that the file's mode MULTIRUN must not reach it.
    defaults = [entry for entry in content.get("defaults", []) if "override /hydra/" not in str(entry)]
    settings = {key for key in content if key not in ("hydra", "defaults")}
    return [f"+sweep={name}", "hydra.mode=RUN"] if settings or defaults else []


def _split_override(override: str) -> tuple[str, str]:
    key, equals, value = override.partition("=")
    if not (key and equals):
        raise ValueError(f"{override!r} is no setting; write it as KEY=VALUE")
    return key, value


def _varies(value: str) -> bool:
    return len(_split_items(value)) > 1 or _CALL.fullmatch(value) is not None


def _split_items(text: str) -> list[str]:
    """Return what commas separate, outside of brackets and quotes."""
    return [item.strip() for item in _ITEM.findall(text)]


def _parse_number(text: str) -> int | float | str:
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    return text


def _parser() -> CommandParser:
    parser = CommandParser("sprec.report wandb-sweep", __doc__)
    add, overrides = parser.add_argument, "for every job; several values (seed=0,1) are varied"
    add("sweep", help="the name of a file of conf/sweep, e.g. ablation")
    add("overrides", nargs="*", metavar="KEY=VALUE", help=overrides)
    add("--output", type=Path, metavar="FILE", help="write to this file, not to the terminal")
    return parser
