"""Hosts: the processes in which engines live, one for each framework and virtual environment.

Each is a module that is run with `python -m`, says that it is ready, and then runs one job for each line of JSON
(`protocol.py`). What a user starts once and keeps lives as long as its host: a Spark session, a Ray cluster, a pool.
"""
