"""Tenants, keys, roles: who may do what. The tenant comes from the credential alone, never from a request."""
