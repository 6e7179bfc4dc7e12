"""Tables as Spark sees them: what only a session knows of them, and reads and writes that go through it."""
