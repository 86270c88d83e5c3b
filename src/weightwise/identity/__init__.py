"""What identifies a result: definition, code, versions, and the machine's arithmetic."""
