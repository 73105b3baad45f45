"""The MESSAGE_IDs of our journal entries. The catalog (packaging/catalog) explains each.

Standard library only and no imports: the login path uses these.
"""

START = "5f5af55ba1264d5eb9a3dd9b95a28f8b"
"""A recording has begun."""
END = "94438289d00f41bebf832bb5477ceb11"
"""A recording has ended, in order or not."""
ALERT_NOT_RECORDED = "e9b33b91fe224a2abdb109409dfa540c"
"""A login that the rules want recorded cannot be."""
ALERT_CONFIG = "3f0a7adecb4f497cb36984ad127b828f"
"""The configuration is broken or cannot be read."""
ALERT_STORAGE = "1a6f07ac10f147c09a66dae123263c4d"
"""Recorded data cannot be stored now, or was found missing."""
ALERT_ABNORMAL = "23d11f6590484d20a5bcc40db1f7070a"
"""A recording did not end in order: its worker died, or somebody read past it."""
ALERT_SHELL = "db06eeb4c7ac48d89ec92d33ae3bc35b"
"""The real shell of a user is missing; /bin/sh was started instead."""
