"""The pages of training: parse, call one step, render."""
