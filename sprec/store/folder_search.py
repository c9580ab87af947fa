"""Files of runs below a folder, behind symbolic links too: results often lie on another disk."""

import os
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path


def files_below(folder: Path, *names: str, unreadable: Callable[[OSError], None]) -> Iterator[Path]:
    """Yield the files of these names below a folder, each folder once, however many links lead to it.

    `unreadable` gets the error of each folder that cannot be listed: what is below it would be missed in
    silence.
    """
    pending, visited = deque([str(folder)]), set()
    while pending:
        # Links wait until all real folders are done, so that files are called by their own paths.
        for place, folders, files in os.walk(pending.popleft(), onerror=unreadable):
            # By resolved paths: a link to a folder above it would lead around for ever.
            real = os.path.realpath(place)
            if real in visited:
                folders.clear()
                continue
            visited.add(real)
            paths = (os.path.join(place, name) for name in sorted(folders))
            pending.extend(path for path in paths if os.path.islink(path))
            yield from (Path(place, name) for name in names if name in files)
