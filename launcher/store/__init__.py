"""What outlives the process: rows, migrations and numbered event logs."""
