"""keyturn rotates Azure API Management keys in the order that keeps callers working."""
