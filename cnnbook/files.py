"""Writing a file whole or not at all."""

import contextlib
import glob
import os
import tempfile
import time
from pathlib import Path


@contextlib.contextmanager
def whole(path, mode="wb", **kwargs):
    """Open a file that takes the place of ``path`` only when the block ends well.

    What is written goes to a temporary file in the same folder, is flushed to the disk and then moved, which is one
    step for the system: a reader sees the old file or the new one, never half of one. On any exception, Ctrl-C and a
    full disk included, the temporary file is removed and ``path`` is as it was. Folders above are made.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    for leftover in path.parent.glob(f".{glob.escape(path.name)}.*.half"):  # of a process killed while it wrote
        with contextlib.suppress(FileNotFoundError):  # another process may be writing, or clearing up
            if time.time() - leftover.stat().st_mtime > 3600:
                leftover.unlink()
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".half")
    try:
        with os.fdopen(handle, mode, **kwargs) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)  # mkstemp's 0600 would hide a shared cache from others
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
