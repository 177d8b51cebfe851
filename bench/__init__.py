"""Benchmarks: fasthio beside its peers, equal work, one command: `python -m bench.run`."""
