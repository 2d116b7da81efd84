"""What the CRMs have in common: the landing entities. Each CRM's own package says how it is read."""
