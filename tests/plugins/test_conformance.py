"""The built-in trainers keep the contract that third parties are held to: the same checks, with models to start from."""

from collections.abc import Iterator
from typing import Any

import pytest

from feinschliff.checks import plugin_checks

QUICK = ("lists", "settings", "writes", "connects", "refuses_few", "refuses_wrong")  # one training
LISTED = ("lists", "settings")  # no child that trains: their own quick tests train them, many in one process
TRAINED = ("plugins.reward_model",)  # by the quick suite too
PPO = {
    "episodes": 160,
    "batch": 32,
    "micro_batch": 32,
    "max_new_tokens": 8,
    "reference_samples": 32,
    "compared": 12,
    "kl_budget": 0,
}
PPO |= {"evaluations": 1, "missing_eos": "ignore", "temperature": 1.0, "learning_rate": 4e-3, "update_kl": 0}
PROBED = {"samples": 4, "sample_tokens": 8}
TRANSFER = {"epochs": 10, "batch_rows": 16, "evaluations": 1, **PROBED}
CONTRASTIVE = {
    "epochs": 3,
    "batch_rows": 2,
    "hard_negatives": 16,
    "evaluations": 1,
}  # what is liked has nothing to do with the prompt
ONLINE = {"steps": 30, "prompts": 8, "answers": 4, "max_new_tokens": 8, "missing_eos_penalty": 0, "learning_rate": 4e-3}
ONLINE |= {"samples": 12, "sample_tokens": 8, "sample_temperature": 1.0}
BUILT_INS: dict[str, dict[str, Any]] = {
    "plugins.reward_model": {"config": {"reward-model": {"epochs": 2, "batch_rows": 16}}},
    "plugins.ppo": {
        "config": {"ppo": PPO},
        "models": {"reward": "judge:letters"},
        "also": ["plugins.base_models", "tests.plugins.judges"],
    },
    "plugins.supervised": {
        "config": {"task-specific": PROBED, "multi-task": {"evaluations": 2, **PROBED}, "transfer": TRANSFER}
    },
    "plugins.self_supervised": {
        "config": {"masked-lm": {"epochs": 4}, "contextual": {"samples": 2}, "contrastive": CONTRASTIVE}
    },
    "plugins.preference": {
        "config": {
            "dpo": {"batch_rows": 32, **PROBED},
            "kto": {"batch_rows": 16, "epochs": 2, **PROBED},
            "rloo": ONLINE,
            "grpo": ONLINE,
        },
        "models": {"reward": "judge:letters"},
        "also": ["plugins.base_models", "tests.plugins.judges"],
    },
    "plugins.comparative_ranking": {"config": {"comparative-ranking": {"samples": 2, "sample_tokens": 8}}},
}


def all_checks() -> Iterator[Any]:
    for plugin, options in BUILT_INS.items():
        for name, check in plugin_checks(plugin, **{"also": ["plugins.base_models"], **options}):
            quick = (name.partition(":")[2] or name) in (QUICK if plugin in TRAINED else LISTED)
            yield pytest.param(check, id=f"{plugin}-{name}", marks=[] if quick else [pytest.mark.slow])


@pytest.mark.parametrize("check", all_checks())
def test_it_keeps_the_contract(check: Any) -> None:  # noqa: ANN401
    check()
