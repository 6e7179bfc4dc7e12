"""Engine `spark`: tasks of a Spark session."""
