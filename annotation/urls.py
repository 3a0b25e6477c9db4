"""Routes of annotation."""

from django.urls import path

from annotation.views import desk, imports, people, projects

urlpatterns = [
    path("", projects.home, name="home"),
    path("projects/new/", projects.new, name="new_project"),
    path("p/<slug:slug>/", projects.overview, name="project"),
    path("p/<slug:slug>/settings/", projects.project_settings, name="project_settings"),
    path("p/<slug:slug>/items/", projects.items, name="items"),
    path("p/<slug:slug>/items/<int:item_id>/", projects.item, name="item"),
    path("p/<slug:slug>/people/", people.people, name="project_people"),
    path("p/<slug:slug>/people/<int:member_id>/deactivate/", people.deactivate, name="deactivate_member"),
    path("p/<slug:slug>/people/<int:member_id>/link/", people.fresh_link, name="fresh_link"),
    path("p/<slug:slug>/import/", imports.upload, name="import"),
    path("p/<slug:slug>/import/<int:import_id>/", imports.map_and_import, name="import_mapping"),
    path("p/<slug:slug>/import/<int:import_id>/discard/", imports.discard, name="discard_import"),
    path("p/<slug:slug>/judge/", desk.next_item, name="desk"),
    path("p/<slug:slug>/judge/<int:assignment_id>/", desk.show, name="assignment"),
    path("p/<slug:slug>/judge/<int:assignment_id>/submit/", desk.submit, name="submit"),
    path("p/<slug:slug>/judge/<int:assignment_id>/skip/", desk.skip, name="skip"),
    path("p/<slug:slug>/mine/", desk.mine, name="mine"),
    path("p/<slug:slug>/guidelines/", desk.guidelines, name="guidelines"),
]
