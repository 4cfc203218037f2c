"""Consensus: replicates every write by Raft into storage, with one durable log per member."""
