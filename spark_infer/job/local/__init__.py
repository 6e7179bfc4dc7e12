"""Engine `local`: the direct plane in a pool of processes on this machine, without a JVM."""
