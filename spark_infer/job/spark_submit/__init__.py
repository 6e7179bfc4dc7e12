"""The script that spark-submit runs; nothing imports it."""
