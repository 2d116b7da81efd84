"""A seeded distributor's world: who sells what to whom, and who missed which order."""
