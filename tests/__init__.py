"""Everything that Gatebook must hold to, and the ways of showing it."""
