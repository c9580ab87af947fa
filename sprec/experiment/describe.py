"""What a dataset looks like, printed without a model: `+describe=true` needs no torch."""

from collections.abc import Callable
from typing import Any

from rich.console import Console

from sprec.data.dataset import Dataset
from sprec.data.facts import dataset_facts
from sprec.experiment.config import Node, Settings
from sprec.report.tables.formats import print_table
from sprec.report.tables.table import Table

FOLDER_SOURCE = "sprec.data.download.sources.Folder"


def with_local_folder(dataset: Node) -> Node:
    """Return the dataset's node in which `path`, a local folder, has taken the place of the source."""
    node = {key: value for key, value in dataset.items() if key != "path"}
    path = dataset.get("path")
    if path == "???":
        raise ValueError(f"dataset {dataset['name']} is read from a folder; name it with dataset.path=DIR")
    if path is None:
        return node
    owner = node.get("reader", node)  # the node that has a source
    members = owner["source"].get("members", ()) if owner["source"]["_target_"] == FOLDER_SOURCE else ()
    source = {"_target_": FOLDER_SOURCE, "path": str(path), "members": list(members)}
    return {**node, "reader": {**owner, "source": source}} if "reader" in node else {**node, "source": source}


def describe_dataset(settings: Settings, make: Callable[[Node], Any], console: Console) -> None:
    """Read the dataset with all its rows and print its figures, and what was dropped or repaired.

    `make` instantiates a configuration node.
    """
    dataset: Dataset = make(with_local_folder(settings.dataset)).build()
    rows = {**dataset_facts(dataset), **dataset.split.drops}
    source = f"dataset {dataset.name} ({dataset.digest[:12]})"
    print_table(Table(dataset.name, ("what", "value"), tuple(rows.items()), (source,)), console)
