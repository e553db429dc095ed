"""Shared access tokens by the published steps, with plain hmac calls: a second reading, apart from the emulator's."""

from __future__ import annotations

import base64
import hashlib
import hmac


def signature(key: str, identity: str, moment: str) -> str:
    digest = hmac.new(key.encode(), f"{identity}\n{moment}".encode(), hashlib.sha512).digest()
    return base64.b64encode(digest).decode()


def long_token(key: str, moment: str, identity: str = "integration") -> str:
    """`moment`: seven fraction digits and Z."""
    return f"SharedAccessSignature uid={identity}&ex={moment}&sn={signature(key, identity, moment)}"


def short_part(key: str, digits: str, identity: str) -> str:
    """`digits`: yyyyMMddHHmm."""
    year, month, day, hour, minute = digits[:4], digits[4:6], digits[6:8], digits[8:10], digits[10:]
    moment = f"{year}-{month}-{day}T{hour}:{minute}:00.0000000Z"
    return f"{identity}&{digits}&{signature(key, identity, moment)}"


def short_token(key: str, digits: str, identity: str = "integration") -> str:
    return f"SharedAccessSignature {short_part(key, digits, identity)}"
