"""Makes the random keys that people carry away, and the digests that stay with us."""

import hashlib
import secrets


def new_key(prefix: str = "") -> str:
    """A URL-safe key with 256 bits of randomness."""
    return prefix + secrets.token_urlsafe(32)


def digest(key: str) -> str:
    """SHA-256 in hex. The keys are random, so no salt and no slow hash is needed."""
    return hashlib.sha256(key.encode()).hexdigest()
