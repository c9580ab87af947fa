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
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, ValueType
from hydra.errors import HydraException

from sprec.boundaries import suggest
from sprec.caches import conf_folder
from sprec.command_line import CommandParser, run_command

CONF = conf_folder()
SWEEPS = CONF / "sweep"

PROGRAM = "sprec.run"
# Agents of several machines may start jobs in the same second, so that the time alone names no folder.
FOLDER = "hydra.run.dir=outputs/wandb/${oc.env:WANDB_RUN_ID}"


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
    typed = {override.get_key_element(): override for override in map(parse_override, overrides)}
    # Options of one's own, in a folder that the words name, are not looked for.
    for key, override in typed.items() if "hydra.searchpath" not in typed else ():
        _check_override(key, override)
    fixed = {key: override for key, override in typed.items() if not override.is_sweep_override()}
    varied = {key: parse_override(f"{key}={values}") for key, values in grid.items()} | typed
    parameters = {key: convert_values(override) for key, override in varied.items() if key not in fixed}
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
            *(override.input_line for override in fixed.values()),
            "${args_no_hyphens}",
        ],
        "parameters": parameters,
    }


def _check_override(key: str, override: Override) -> None:
    """Raise `ValueError` for a key or an option that no configuration has: every agent's job would fail."""
    groups = {folder.name: folder for folder in CONF.iterdir() if folder.is_dir()}
    top = yaml.safe_load((CONF / "config.yaml").read_text(encoding="utf-8"))
    first = re.split(r"[./@]", key.lstrip("+~"))[0]
    if first not in {*groups, *top} and not key.startswith("+"):
        raise ValueError(f"{key}: no such key{suggest(first, [*groups, *top])}")
    options = {file.stem for file in groups[key].glob("*.yaml")} if key in groups else set()
    for _, value in _elements(override) if options else ():
        if value not in options:
            raise ValueError(f"{key}={value}: no such option of {key}{suggest(value, sorted(options))}")


def parse_override(text: str) -> Override:
    """Return an override as Hydra reads it; `ValueError`, one line, where it cannot."""
    key, equals, _ = text.partition("=")
    if not (key and equals):
        raise ValueError(f"{text!r} is no setting; write it as KEY=VALUE")
    try:
        return OverridesParser.create().parse_override(text)
    except HydraException as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"{text}: {reason}; list the values, as {key}=1,2") from error


def convert_values(override: Override) -> dict[str, object]:
    """Return what W&B varies for an override in Hydra's sweep syntax.

    >>> convert_values(parse_override("seed=0,1"))
    {'values': [0, 1]}
    >>> convert_values(parse_override("cutoffs=[1,5],[1,10]"))
    {'values': ['[1,5]', '[1,10]']}
    >>> convert_values(parse_override("budget.iterations=range(1,4)"))
    {'values': [1, 2, 3]}
    >>> convert_values(parse_override("objective.beta=tag(log, interval(0.01, 1))"))
    {'distribution': 'log_uniform_values', 'min': 0.01, 'max': 1.0}
    """
    sweep = override.value()
    if isinstance(sweep, IntervalSweep) and sweep.tags <= {"log"}:
        distribution = {"distribution": "log_uniform_values"} if sweep.tags else {}
        return {**distribution, "min": sweep.start, "max": sweep.end}
    # Numbers stay numbers for W&B's charts; anything else is the text that Hydra reads back.
    return {"values": [value if type(value) in (int, float) else text for value, text in _elements(override)]}


def _elements(override: Override) -> list[tuple[object, str]]:
    """Return the values of an override, each with its text; `ValueError` for those that W&B cannot list."""
    if not override.is_sweep_override():
        return [(override.value(), override.get_value_element_as_str())]
    # Of a shuffled sweep each look is another order.
    listed = override.is_discrete_sweep() and not getattr(override.value(), "shuffle", False)
    if not listed or override.value_type is ValueType.GLOB_CHOICE_SWEEP:
        key, values = override.get_key_element(), override.get_value_string()
        name = values.partition("(")[0]
        raise ValueError(
            f"{key}={values}: W&B has nothing like {name}(…) here; list the values, as {key}=1,2"
        )
    return list(zip(override.sweep_iterator(), override.sweep_string_iterator(), strict=True))


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


def _parser() -> CommandParser:
    parser = CommandParser("sprec.report wandb-sweep", __doc__)
    add, overrides = parser.add_argument, "for every job; several values (seed=0,1) are varied"
    add("sweep", help="the name of a file of conf/sweep, e.g. ablation")
    add("overrides", nargs="*", metavar="KEY=VALUE", help=overrides)
    add("--output", type=Path, metavar="FILE", help="write to this file, not to the terminal")
    return parser
