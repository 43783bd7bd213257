"""What reports of all tasks share: figures with pictures, intervals, calibration."""
