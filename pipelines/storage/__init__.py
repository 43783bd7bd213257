"""Files and folders that outlive the process that writes them: whole at every moment, under safe names."""
