"""HubSpot: one account's objects, owners, pipelines and properties."""
