"""The built-in trainers keep the contract that third parties are held to: the same checks, with models to start from."""

from collections.abc import Iterator
from typing import Any

import pytest

from feinschliff.checks import plugin_checks

QUICK = ("lists", "settings", "writes", "connects", "refuses_few", "refuses_wrong")  # one training
BUILT_INS = {"plugins.reward_model": {"config": {"reward-model": {"epochs": 2, "batch_rows": 16}}}}


def all_checks() -> Iterator[Any]:
    for plugin, options in BUILT_INS.items():
        for name, check in plugin_checks(plugin, also=["plugins.base_models"], **options):
            quick = (name.partition(":")[2] or name) in QUICK
            yield pytest.param(check, id=f"{plugin}-{name}", marks=[] if quick else [pytest.mark.slow])


@pytest.mark.parametrize("check", all_checks())
def test_it_keeps_the_contract(check: Any) -> None:  # noqa: ANN401
    check()
