"""`python -m tests.leaks.batch`: many commands of keyturn in one process, each as if it had one of its own.

Standard input holds one JSON line per command: its arguments, what it reads, and the files that take what it says on
stdout and stderr; and the defect that is to happen meanwhile, if any. Each is answered with its exit code. Starting a
process per command would take longer than the commands do. Never here: which commands.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

from tests.leaks.loud.sitecustomize import forced


def main() -> None:
    from keyturn.cli import main as keyturn

    asked, answers = os.fdopen(os.dup(0), encoding="utf-8"), os.fdopen(os.dup(1), "w", encoding="utf-8")
    for line in asked:
        told = json.loads(line)
        with (
            tempfile.TemporaryFile() as stdin,
            Path(told["out"]).open("ab") as out,
            Path(told["err"]).open("ab") as err,
        ):
            stdin.write(told["stdin"].encode())
            stdin.seek(0)
            for number, file in enumerate((stdin, out, err)):
                os.dup2(file.fileno(), number)
            sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
            os.environ.update(told["env"])
            with forced(told["forced"]):
                code = keyturn(told["arguments"])
            for name in told["env"]:
                os.environ.pop(name, None)
            sys.stdout.flush()
            sys.stderr.flush()
        answers.write(json.dumps({"code": code}) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
