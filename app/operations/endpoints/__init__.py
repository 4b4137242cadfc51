"""The operations API. Tenants and audit lie below ``auth`` in the layers, so what serves them to callers is here."""
