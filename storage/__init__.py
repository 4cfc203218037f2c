"""Storage: the deterministic state machine, MVCC keys in memory and in one SQLite file."""
