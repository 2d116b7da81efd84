"""amoCRM (Kommo): lists by modification time, events for what is gone, everything into the landing shared by CRMs."""
