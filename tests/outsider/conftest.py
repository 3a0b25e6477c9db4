"""The outsider's package has tests of its own, which run where it is installed and not here."""

collect_ignore = ["word-tilt"]
