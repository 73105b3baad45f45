"""Whether everything is in place that makes the rules hold on this host.

A check is a function that reads the host and gives findings; what it read is judged by pure
functions beside it. ``checks.CHECKS`` lists them all.
"""
