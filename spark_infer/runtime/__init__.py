"""What makes a worker process: its models, devices, threads, memory, deadlines, children and fault points."""
