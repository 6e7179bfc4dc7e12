"""Which models may run here, and what is looked for in their files before any of their code runs."""
