"""What a run reported, arranged for people: results, curves, pace, samples, log, and runs beside each other."""
