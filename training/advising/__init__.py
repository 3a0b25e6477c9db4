"""Says which method fits a project: what it has is counted, the rules are data, and what is not known is said to be unknown.

Stands between freezing and launching: looking (what is there) -> judging (what each trainer needs of it, and what studies say of
methods of its sort) -> picturing and telling (for people and programs) -> starting (the chosen one, or two to compare).
"""
