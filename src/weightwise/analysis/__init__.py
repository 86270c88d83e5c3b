"""Statistics of a study: tables in, tables out (SPEC section 8). Imports no torch."""
