"""What is installed, and who was refused and why."""

from django.http import HttpResponse
from django.shortcuts import render

from training.listing import ListingFailed, listing
from webapp.people.permitting import SignedInRequest, site


@site("see_plugins")
def plugins(request: SignedInRequest) -> HttpResponse:
    try:
        found, failed = listing(), ""
    except ListingFailed as wrong:
        found, failed = None, str(wrong)
    return render(request, "training/plugins.html", {"listing": found, "failed": failed})
