"""How fast a cold start of the Function is, side by side with a minimal app on the same machine.

    uv run python bench/function_import.py [rounds]

Ours is the folder that is deployed, imported and indexed as a host does it. The other imports what a function for API
Management keys is usually made of: azure-functions, azure-identity and azure-mgmt-apimanagement. The two take turns,
so that a busy machine slows both; the medians are compared. Exits 1 when ours takes more than 0.6 times as long.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROMISED = 0.6
MINIMAL = """\
import azure.functions as func
from azure.identity import DefaultAzureCredential
from azure.mgmt.apimanagement import ApiManagementClient

app = func.FunctionApp()


@app.timer_trigger(arg_name="timer", schedule="0 */5 * * * *")
def rotate(timer: func.TimerRequest) -> None:
    ApiManagementClient(DefaultAzureCredential(), "")
"""
INDEX = "import function_app; assert function_app.app.get_functions()"


def timed(folder: Path) -> float:
    """Machine seconds that one process takes to import and index the app in a folder."""
    began = time.perf_counter()
    ended = subprocess.run([sys.executable, "-c", INDEX], cwd=folder, capture_output=True, check=False)
    took = time.perf_counter() - began
    if ended.returncode != 0:
        raise SystemExit(f"{folder.name} ended with {ended.returncode}: {ended.stderr.decode()[-500:]}")
    return took


def main() -> int:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 11
    ours = Path(__file__).parents[1] / "function_app"
    with tempfile.TemporaryDirectory() as home:
        minimal = Path(home) / "minimal"
        minimal.mkdir()
        (minimal / "function_app.py").write_text(MINIMAL, encoding="utf-8")
        apps = {"minimal": minimal, "keyturn": ours}
        for folder in apps.values():
            timed(folder)  # once for the file system
        taken: dict[str, list[float]] = {name: [] for name in apps}
        for _ in range(rounds):
            for name, folder in apps.items():
                taken[name].append(timed(folder))
    middle = {name: statistics.median(times) for name, times in taken.items()}
    ratio = middle["keyturn"] / middle["minimal"]
    print(f"minimal app: {middle['minimal'] * 1000:.0f} ms (median of {rounds})")
    print(f"keyturn's: {middle['keyturn'] * 1000:.0f} ms, {ratio:.2f} x (promised: at most {PROMISED} x)")
    return 0 if ratio <= PROMISED else 1


if __name__ == "__main__":
    sys.exit(main())
