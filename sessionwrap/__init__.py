"""sessionwrap records terminal sessions. This file stays empty of code: every login imports it."""
