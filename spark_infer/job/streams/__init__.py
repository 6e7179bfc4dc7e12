"""Jobs that follow their source as a stream."""
