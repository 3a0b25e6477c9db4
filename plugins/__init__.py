"""The built-in plugins: they come in by the public door, each a package of its own; `lib` is what they share."""
