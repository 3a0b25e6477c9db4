"""The pages of annotation: parse, call one step, render."""
