"""A server that behaves like the standard OData interface of a 1C:Enterprise 8.3 base."""
