"""Plain Python functions and classes as models: what identifies one, what it takes, how its code reaches workers."""
