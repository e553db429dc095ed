"""An Azure of its own: Entra, Resource Manager, API Management and Key Vault on loopback."""
