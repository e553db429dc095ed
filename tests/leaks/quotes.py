"""How an answer may quote what it was sent: whole or in part, and in the forms that services write texts in."""

from __future__ import annotations

import base64
from typing import Final

FORMS: Final = ("plain", "head", "upper", "percent", "escaped", "base64", "shifted", "shifted twice", "hex", "entities")
"""How an answer may quote what it was sent."""


def quoted(value: str, form: str) -> str:
    raw = value.encode()
    match form:
        case "plain":
            return value
        case "head":
            return value[:10] + "..."
        case "upper":
            return value.upper()
        case "percent":
            return "".join(f"%{byte:02X}" for byte in raw)
        case "escaped":
            return "".join(f"\\u{byte:04x}" for byte in raw)
        case "base64":
            return base64.b64encode(raw).decode()
        case "shifted":
            return base64.b64encode(b"=" + raw).decode()
        case "shifted twice":
            return base64.urlsafe_b64encode(b"v=" + raw).decode()
        case "hex":
            return raw.hex()
        case "entities":
            return "".join(f"&#x{byte:02x};" for byte in raw[:20])
    raise AssertionError(form)
