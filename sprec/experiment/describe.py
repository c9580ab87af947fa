"""What a dataset looks like, printed without a model: `+describe=true` needs no torch."""

from collections.abc import Callable
from typing import Any

from rich.console import Console

from sprec.data.dataset import Dataset
from sprec.data.facts import dataset_facts
from sprec.experiment.config import Node, Settings
from sprec.experiment.nodes import with_local_folder
from sprec.report.tables.formats import print_table
from sprec.report.tables.table import Table


def describe_dataset(settings: Settings, make: Callable[[Node], Any], console: Console) -> None:
    """Read the dataset with all its rows and print its figures, and what was dropped or repaired.

    `make` instantiates a configuration node.
    """
    dataset: Dataset = make(with_local_folder(settings.dataset)).build()
    rows = {**dataset_facts(dataset), **dataset.split.drops}
    source = f"dataset {dataset.name} ({dataset.digest[:12]})"
    print_table(Table(dataset.name, ("what", "value"), tuple(rows.items()), (source,)), console)
