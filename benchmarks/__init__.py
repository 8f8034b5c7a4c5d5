"""Speed, measured: every claim of speed rests on a command in here."""
