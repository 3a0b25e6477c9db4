"""Does word-tilt keep the contract? Each check of Feinschliff is a test of this class, run in real processes."""

from feinschliff.checks import conformance

TestConformance = conformance("word_tilt")
