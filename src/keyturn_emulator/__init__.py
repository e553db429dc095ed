"""An Azure of its own: Entra, Resource Manager, API Management and Key Vault on loopback.

Official clients run against it unmodified, with nothing but HTTPS_PROXY and REQUESTS_CA_BUNDLE set.
It never imports keyturn, and keyturn never imports it.
"""
