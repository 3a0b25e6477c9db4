"""Getting in, choosing a password, one's own account and notices."""

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import login, update_session_auth_hash
from django.contrib.auth.forms import AuthenticationForm, PasswordChangeForm, SetPasswordForm
from django.contrib.auth.views import LoginView, LogoutView
from django.db.models import F
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_post_parameters

from webapp.people import inviting, languages, noticing, tokens
from webapp.people.models import User
from webapp.people.permitting import SignedInRequest, public, signed_in

SHOWN_NOTICES = 200
BACKEND = "django.contrib.auth.backends.ModelBackend"


class SignIn(LoginView):
    """Whoever once chose a language finds it again in another browser."""

    redirect_authenticated_user = True

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        response = super().form_valid(form)
        user = form.get_user()
        if isinstance(user, User) and user.language and settings.LANGUAGE_COOKIE_NAME not in self.request.COOKIES:
            languages.remember(response, user.language)
        return response


sign_in = public(SignIn.as_view())
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
    """One's own password, tokens and mail address. The form's `action` says which of the four it is."""
    action = request.POST.get("action", "") if request.method == "POST" else ""
    form = PasswordChangeForm(request.user, request.POST if action == "change-password" else None)
    mail = MailForm(request.POST if action == "change-mail" else None, instance=request.user)
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
            messages.success(request, gettext("The token was revoked; it opens nothing any more."))
        return redirect("account")
    elif mail.is_bound and mail.is_valid():
        mail.save()
        messages.success(request, _mail_told(request.user))
        return redirect("account")
    elif form.is_bound and form.is_valid():
        update_session_auth_hash(request, form.save())
        messages.success(request, gettext("Your password was changed."))
        return redirect("account")
    api_url = request.build_absolute_uri(reverse("api_projects"))
    live = request.user.api_tokens.filter(revoked_at=None).order_by("-id")
    context = {"form": form, "tokens": live, "new_token": new_token, "api_url": api_url}
    if settings.MAIL_IS_SET_UP:
        context["mail"] = mail
    return render(request, "people/account.html", context)


class MailForm(forms.ModelForm):
    """Where notices are mailed to; an empty address switches that off."""

    class Meta:
        model = User
        fields = ["email"]
        labels = {"email": _("Mail address")}
        help_texts = {
            "email": _("Notices go there too: a run of yours has ended, say. Leave it empty to get no mails.")
        }


def _mail_told(user: User) -> str:
    if user.email:
        return gettext("Notices are mailed to %(address)s too.") % {"address": user.email}
    return gettext("Notices are not mailed to you any more.")


@signed_in
def notices(request: SignedInRequest) -> HttpResponse:
    """The unread ones first; a POST marks all of them as read."""
    if request.method == "POST":
        noticing.read(user=request.user)
        return redirect("notices")
    found = request.user.notices.order_by(F("read_at").desc(nulls_first=True), "-id")[:SHOWN_NOTICES]
    return render(request, "people/notices.html", {"notices": found})


@signed_in
def open_notice(request: SignedInRequest, notice_id: int) -> HttpResponse:
    """Reads a notice by going where it leads."""
    notice = request.user.notices.filter(pk=notice_id).first()
    if notice is None:
        return redirect("notices")
    noticing.read(user=request.user, notice_id=notice.pk)
    leads_here = url_has_allowed_host_and_scheme(notice.url, allowed_hosts=None)
    return redirect(notice.url if notice.url and leads_here else "notices")
