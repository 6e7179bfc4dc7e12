"""The virtual environments of the peers, and which host each engine lives in."""
