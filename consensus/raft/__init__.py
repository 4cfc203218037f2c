"""The Raft algorithm as a pure value machine: message or tick in, Ready out; no IO, no clock, no chance."""
