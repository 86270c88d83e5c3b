"""Statistics of a study: tables in, tables out. Imports no torch."""
