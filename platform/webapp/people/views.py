"""Getting in, choosing a password, and one's own account."""

from django.contrib import messages
from django.contrib.auth import login, update_session_auth_hash
from django.contrib.auth.forms import PasswordChangeForm, SetPasswordForm
from django.contrib.auth.views import LoginView, LogoutView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.debug import sensitive_post_parameters

from webapp.people import inviting, tokens
from webapp.people.permitting import SignedInRequest, public, signed_in

BACKEND = "django.contrib.auth.backends.ModelBackend"

sign_in = public(LoginView.as_view(redirect_authenticated_user=True))
sign_out = public(LogoutView.as_view())


@public
@sensitive_post_parameters()
def welcome(request: HttpRequest, token: str) -> HttpResponse:
    """Opens a one-time link. Looking at it does not spend it; choosing a password does."""
    link = inviting.open_link(token)
    if link is None:
        return render(request, "people/link_spent.html", status=410)
    form = SetPasswordForm(link.user, request.POST or None)
    # the page asks for the two password fields alone
    form.fields.pop("usable_password", None)
    if request.method == "POST" and form.is_valid():
        if not inviting.claim(link=link, password=form.cleaned_data["new_password1"]):
            return render(request, "people/link_spent.html", status=410)
        login(request, link.user, backend=BACKEND)
        return redirect("home")
    return render(request, "people/welcome.html", {"form": form, "person": link.user})


@signed_in
@sensitive_post_parameters()
def account(request: SignedInRequest) -> HttpResponse:
    """One's own password and tokens. The form's `action` says which of the three it is."""
    action = request.POST.get("action", "") if request.method == "POST" else ""
    form = PasswordChangeForm(request.user, request.POST if action == "change-password" else None)
    new_token = ""
    if action == "create-token":
        new_token = tokens.make_token(user=request.user, name=request.POST.get("name", "").strip()[:80] or "script")
    elif action == "revoke-token":
        number = request.POST.get("token", "")
        if (
            number.isascii()
            and number.isdigit()
            and len(number) < 19
            and tokens.revoke(user=request.user, token_id=int(number))
        ):
            messages.success(request, "The token was revoked; it opens nothing any more.")
        return redirect("account")
    elif form.is_bound and form.is_valid():
        update_session_auth_hash(request, form.save())
        messages.success(request, "Your password was changed.")
        return redirect("account")
    api_url = request.build_absolute_uri(reverse("api_projects"))
    live = request.user.api_tokens.filter(revoked_at=None).order_by("-id")
    return render(
        request, "people/account.html", {"form": form, "tokens": live, "new_token": new_token, "api_url": api_url}
    )
