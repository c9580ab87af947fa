"""Errors of the store's disk are told apart from everybody else's."""

import pytest

from sprec.store.errors import StoreError, explain_store_errors


def explained(root, error):
    with pytest.raises(type(error)) as caught, explain_store_errors(root, "written"):
        raise error
    return caught.value


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (lambda root: OSError(28, "No space left on device"), "No space left on device"),
        (lambda root: OSError(122, "Disk quota exceeded", str(root / "a" / "b")), "Disk quota exceeded"),
        (lambda root: PermissionError(13, "Permission denied", str(root / "a")), "Permission denied"),
        (lambda root: OSError(30, "Read-only file system", root / "a"), "Read-only file system"),
        (lambda root: OSError(5, "Input/output error"), "Input/output error"),
        (
            lambda root: Exception(
                "Error while serializing: I/O error: No space left on device (os error 28)"
            ),
            "No space left on device",
        ),
        (lambda root: RuntimeError("write failed: Permission denied (os error 13)"), "Permission denied"),
    ],
)
def test_errors_of_the_disk_name_folder_space_and_remedy(tmp_path, error, reason):
    with pytest.raises(StoreError) as caught, explain_store_errors(tmp_path, "written"):
        raise error(tmp_path)
    line = str(caught.value)
    assert line.startswith(f"the stage store {tmp_path} cannot be written ({reason}; ")
    assert " GB free); " in line
    assert "SPREC_HOME or store.path" in line


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError(2, "No such file or directory", "/raw/data"),
        PermissionError(13, "Permission denied", "/raw/data"),
        ConnectionRefusedError(111, "Connection refused"),
        ValueError("no rows left"),
        OSError("no answer"),
    ],
)
def test_other_errors_pass(tmp_path, error):
    assert explained(tmp_path, error) is error
