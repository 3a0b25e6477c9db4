"""API tokens: made once, shown once, kept as a digest, revoked at once."""

from django.utils import timezone
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from webapp.people.models import ApiToken, User
from webapp.people.secrets_at_rest import digest, new_key

PREFIX = "fsk_"


def make_token(*, user: User, name: str) -> str:
    """A new token for `user`. The return value is the only copy of it."""
    key = new_key(PREFIX)
    ApiToken.objects.create(user=user, name=name, prefix=key[:10], digest=digest(key))
    return key


def revoke(*, user: User, token_id: int) -> bool:
    """Ends one of the person's own tokens."""
    return bool(ApiToken.objects.filter(user=user, pk=token_id, revoked_at=None).update(revoked_at=timezone.now()))


class TokenAuthentication(BaseAuthentication):
    """`Authorization: Bearer fsk_...`"""

    def authenticate(self, request: Request) -> tuple[User, ApiToken] | None:
        words = get_authorization_header(request).split()
        if not words or words[0].lower() != b"bearer":
            return None
        try:
            key = words[1].decode("ascii")
        except (IndexError, UnicodeDecodeError):
            raise AuthenticationFailed("The Authorization header holds no token.") from None
        live = ApiToken.objects.select_related("user").filter(revoked_at=None, user__is_active=True)
        token = live.filter(digest=digest(key)).first()
        if token is None:
            raise AuthenticationFailed("This token is unknown or was revoked.")
        ApiToken.objects.filter(pk=token.pk).update(last_used_at=timezone.now())
        return token.user, token

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"
