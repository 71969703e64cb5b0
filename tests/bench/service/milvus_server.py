"""A Milvus server in an environment of its own: ``python milvus_server.py FOLDER``.

Prints one JSON object once it answers, and stops it when its standard input ends.
"""

from __future__ import annotations

import json
import sys
from typing import Any


def main(folder: str) -> None:
    """Serve until nothing more can be read."""
    import milvus  # type: ignore[import-not-found] # noqa: PLC0415 - not there for the others

    server: Any = milvus.MilvusServer()
    server.set_base_dir(folder)
    server.start()
    try:
        sys.stdout.write(json.dumps({"port": server.listen_port, "pid": server.server_proc.pid}) + "\n")
        sys.stdout.flush()
        sys.stdin.read()
    finally:
        server.stop()


if __name__ == "__main__":
    main(sys.argv[1])
