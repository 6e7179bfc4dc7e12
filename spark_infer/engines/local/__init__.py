"""Engine `local`: processes of this machine."""
