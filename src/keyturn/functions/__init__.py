"""keyturn as an Azure Function: timer, queue, HTTP and Event Grid, each a face of the same turns.

    from keyturn.functions import create_app

    app = create_app()

Importing this, and creating the app, loads neither a client of Azure nor a ledger: they come with the first invocation
that needs them. One room each: `settings` (what the app settings say), `instance` (keyturn, put together once per
process), `queueing` (what the timer and the queue do), `hints` (Event Grid), `web` and `openapi` (HTTP), `app` (the
functions with their bindings). Never here: what a turn does.
"""

from keyturn.functions.app import create_app

__all__ = ["create_app"]
