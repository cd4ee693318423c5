// Planned: see the README of this package. Nothing is exported yet.
