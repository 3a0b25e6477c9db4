"""manage.py plugin: environments of their own for plugins, and the switches of projects."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from annotation.management.reading import finish, project_named
from training.catalogue import environments, installing, listing, switching
from training.machine import disk


class Command(BaseCommand):
    help = "Installs a plugin into an environment of its own or removes it; switches plugins on and off in a project."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
        install = actions.add_parser("install", help="into an environment of its own")
        install.add_argument(
            "wanted", metavar="PLUGIN", help="a package's name, a wheel, or a folder with pyproject.toml"
        )
        install.add_argument("--name", default="", help="what the environment is called; else after the plugin")
        install.add_argument(
            "--share", action="store_true", help="fall back to the site's packages (torch ...); its own come first"
        )
        actions.add_parser("remove", help="an environment and all in it").add_argument("name", metavar="NAME")
        actions.add_parser("list", help="the environments there are")
        for word in ("on", "off"):
            switch = actions.add_parser(word, help=f"switch a plugin {word} in a project")
            switch.add_argument("name", metavar="PLUGIN", help="as `manage.py plugins` names it")
            switch.add_argument("--project", required=True, metavar="SLUG")
        for action in actions.choices.values():
            action.add_argument("--json", action="store_true", help="print one JSON object at the end")

    def handle(self, **options: Any) -> None:  # noqa: ANN401 - argparse's values
        try:
            text, values = getattr(self, f"_{options['action']}")(options)
        except (installing.CannotInstall, listing.ListingFailed, switching.NoSuchPlugin) as wrong:
            raise CommandError(f"{wrong}\nNothing was changed.") from None
        finish(self, text, values, as_json=options["json"])

    def _install(self, options: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        wish = installing.wish(options["wanted"], options["name"])
        tell = self.stderr.write if options["json"] else self.stdout.write
        made = installing.install(wish=wish, share=options["share"], tell=tell)
        trainers = [one["name"] for one in listing.of_environment(made)["trainers"]]
        names = list(made.about["plugins"])
        text = f"Installed {', '.join(made.plugins())} in the environment {made.slug}: {', '.join(trainers) or 'no trainer'}."
        text += f"\nA project switches it on by: manage.py plugin on {names[0]} --project SLUG" if trainers else ""
        return text, {"environment": made.slug, "plugins": made.about["plugins"], "trainers": trainers}

    def _remove(self, options: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        models = installing.models_made_by(options["name"])
        freed = installing.remove(slug=options["name"])
        text = f"Removed the environment {options['name']}: {disk.in_words(freed)} are free."
        if models:
            text += f"\n{models} of its models cannot be opened until it is installed again under this name."
        return text, {"environment": options["name"], "freed_bytes": freed, "models": models}

    def _list(self, options: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        found = [
            {
                "environment": one.slug, "plugins": one.about.get("plugins", {}), "share": bool(one.about.get("share")),
                "bytes": disk.folder_size(one.folder), "installed_at": one.about.get("installed_at"), "fault": one.fault,
            }
            for one in environments.environments()
        ]  # fmt: skip
        half = environments.half_made()
        lines = [
            f"{e['environment']}: {', '.join(f'{n} {v}' for n, v in e['plugins'].items())}, {disk.in_words(e['bytes'])}"
            + (", shares the site's packages" if e["share"] else "") + (f". {e['fault']}" if e["fault"] else "")
            for e in found
        ]  # fmt: skip
        lines += [f"{slug}: half made; the next installation replaces it, `remove` clears it away" for slug in half]
        text = "\n".join(lines) or "No plugin has an environment of its own."
        return text, {"environments": found, "half_made": half}

    def _on(self, options: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        return self._switch(options, True)

    def _off(self, options: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        return self._switch(options, False)

    def _switch(self, options: dict[str, Any], on: bool) -> tuple[str, dict[str, Any]]:
        project = project_named(options["project"])
        switching.switch(project=project, plugin=options["name"], on=on, listing=listing.listing(), actor=None)
        word = "on" if on else "off"
        text = f"{options['name']} is {word} in {project.slug}."
        return text, {"plugin": options["name"], "project": project.slug, "on": on}
