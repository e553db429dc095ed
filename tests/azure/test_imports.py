"""What a command that calls nobody pays for."""

from __future__ import annotations

import subprocess
import sys

ROOMS = (
    "azure.pipeline",
    "azure.signin",
    "keyrings.subscriptions",
    "sinks.keyvault",
    "sinks.file",
    "probes.gateway",
    "clocks.system",
    "clocks.emulator",
)
COSTLY = ("azure.core", "azure.identity", "azure.keyvault", "requests", "msal", "urllib3", "cryptography")


def test_importing_every_adapter_imports_no_azure_library() -> None:
    script = "import sys\n" + "".join(f"import keyturn.{room}\n" for room in ROOMS)
    script += f"print([name for name in {COSTLY!r} if name in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
