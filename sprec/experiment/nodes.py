"""Nodes of the configuration that name a `_target_`: checked before anything heavy is imported."""

from pydoc import ErrorDuringImport, locate
from typing import Any

from sprec.boundaries import InputError, describe
from sprec.experiment.config import Node
from sprec.experiment.strict_settings import check_settings

TARGET_REMEDY = "name a class or function by its module"
FOLDER_SOURCE = "sprec.data.download.sources.Folder"


def check_node(key: str, node: Node) -> None:
    """Hold the settings of a node, and of the nodes in it, to what their targets take."""
    for name, value in node.items():
        if isinstance(value, dict):
            check_node(f"{key}.{name}", value)
    if "_target_" not in node:
        return
    for flag in ("_partial_", "_recursive_"):  # Hydra's own, of which its error names no key
        if not isinstance(value := node.get(flag, False), bool):
            raise InputError(f"{key}.{flag}: {value!r} is neither true nor false; use one of them")
    try:
        target: Any = locate(str(node["_target_"]))
    except ErrorDuringImport as error:
        raise InputError(
            f"{key}._target_: {node['_target_']!r}: {describe(error)}; {TARGET_REMEDY}"
        ) from error
    if not callable(target):
        raise InputError(
            f"{key}._target_: {node['_target_']!r} names nothing that makes an object; {TARGET_REMEDY}"
        )
    nested = {name: value for name, value in node.items() if not _holds_objects(value)}
    check_settings(target, nested, key)


def _holds_objects(value: object) -> bool:
    """Return whether a setting is an object to be made, or holds some, which its constructor checks."""
    if isinstance(value, dict):
        return "_target_" in value or any(map(_holds_objects, value.values()))
    return isinstance(value, list | tuple) and any(map(_holds_objects, value))


def with_local_folder(dataset: Node) -> Node:
    """Return the dataset's node in which `path`, a local folder, has taken the place of the source."""
    node = {key: value for key, value in dataset.items() if key != "path"}
    path = dataset.get("path")
    if path == "???":
        raise ValueError(f"dataset {dataset['name']} is read from a folder; name it with dataset.path=DIR")
    if path is None:
        return node
    owner = node.get("reader", node)  # the node that has a source
    if "source" not in owner:
        raise ValueError(f"dataset {dataset['name']} reads no folder; leave dataset.path={path} out")
    members = owner["source"].get("members", ()) if owner["source"]["_target_"] == FOLDER_SOURCE else ()
    source = {"_target_": FOLDER_SOURCE, "path": str(path), "members": list(members)}
    return {**node, "reader": {**owner, "source": source}} if "reader" in node else {**node, "source": source}
