"""Which Azure: the addresses and the trust of one cloud.

Decides where sign-in, Resource Manager and vaults are. Never here: a call.
"""

from __future__ import annotations

import msgspec


class Cloud(msgspec.Struct, frozen=True, kw_only=True):
    """One Azure cloud; make your own for a private one.

    `ca_bundle` is a PEM file that replaces the usual authorities; None trusts what the machine trusts (or what
    REQUESTS_CA_BUNDLE names). `disable_instance_discovery` is needed where Microsoft's public cloud cannot vouch for
    the authority (azure-facts 0.2).
    """

    name: str
    authority: str
    """Base address of Entra, `https://host`."""
    arm: str
    """Base address of Resource Manager, `https://host[:port]`."""
    arm_scope: str
    """What a Resource Manager token is asked for, ending in `/.default`."""
    vault_suffix: str
    """What follows a vault's name, with no leading dot; may carry a port."""
    ca_bundle: str | None = None
    disable_instance_discovery: bool = False

    def vault_url(self, vault: str) -> str:
        """`shop-kv` as `https://shop-kv.vault.azure.net`; a whole address stays as it is."""
        return vault.rstrip("/") if "://" in vault else f"https://{vault}.{self.vault_suffix}"


PUBLIC = Cloud(
    name="public",
    authority="https://login.microsoftonline.com",
    arm="https://management.azure.com",
    arm_scope="https://management.azure.com/.default",
    vault_suffix="vault.azure.net",
)
CHINA = Cloud(
    name="china",
    authority="https://login.chinacloudapi.cn",
    arm="https://management.chinacloudapi.cn",
    arm_scope="https://management.chinacloudapi.cn/.default",
    vault_suffix="vault.azure.cn",
)
USGOV = Cloud(
    name="usgov",
    authority="https://login.microsoftonline.us",
    arm="https://management.usgovcloudapi.net",
    arm_scope="https://management.core.usgovcloudapi.net/.default",
    vault_suffix="vault.usgovcloudapi.net",
)
CLOUDS = {cloud.name: cloud for cloud in (PUBLIC, CHINA, USGOV)}
