"""Comparative ranking: its loss against the plain way, its cache, its runs on the small world, and rows that teach nothing."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from feinschliff import NeedsNotMet, Opening
from feinschliff.checks import worlds
from feinschliff.run import Stop
from plugins.base_models.opening import open_tiny
from plugins.comparative_ranking.config import ComparativeRankingConfig
from plugins.comparative_ranking.reading import Ranked, read
from plugins.comparative_ranking.reference import with_reference
from plugins.comparative_ranking.rewards import Answers
from plugins.comparative_ranking.training import train
from plugins.lib.listwise import LOSSES
from plugins.lib.policies import Policy, policy_from
from plugins.lib.rankings import as_rankings
from plugins.lib.settings import Lora
from tests.plugins.ranking_world import Rows, a_job, a_run, pads_with_its_end, ranking
from tests.plugins.small_world import finish, result, start

ROWS: Rows = [
    ranking(["a b c", "a", "b c d e f g"], [2, 1, 3], "One"),
    ranking(["x", "y z", "w", "v u t"], [1, 2, 2, None], "Two, which is a good deal longer", weight=0.5),
    {"prompt": "Three", "chosen": "good", "rejected": "bad one", "margin": 0.7, "weight": 2.0},
]


@pytest.fixture(scope="module")
def base(weights: Path) -> Path:
    return open_tiny("tiny:causal", Opening(weights=weights)).folder


class Halt(Stop):
    """Asked to stop before its n-th step."""

    def __init__(self, step: int) -> None:
        self.left = step

    @property
    def asked(self) -> bool:  # type: ignore[override]
        self.left -= 1
        return self.left < 0


def answers_of(base: Path, *, lora_rank: int = 0, **config: Any) -> Answers:  # noqa: ANN401
    policy = policy_from(base, seed=0, device="cpu", lora=Lora(lora_rank=lora_rank))
    return Answers(policy, ComparativeRankingConfig.model_validate(config))


def shaken(policy: Policy) -> None:
    """Moves the trained weights a little away from the base, or all rewards would be nil."""
    import torch

    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in policy.model.parameters():
            if weight.requires_grad:
                weight += 0.02 * torch.randn(weight.shape, generator=generator)


def known(tmp_path: Path, base: Path, answers: Answers, rows: Rows = ROWS) -> list[Ranked]:
    found = read(rows, answers.policy, "start").rows
    ready = with_reference(a_run(tmp_path, base, cache=tmp_path / "cache"), found, answers.policy, answers, base)
    assert ready is not None
    return ready


def plain_logp(policy: Policy, ids: Sequence[int], answer: int) -> Any:  # noqa: ANN401
    """One sequence through transformers' own class: the sum over its last `answer` tokens."""
    import torch

    logits = policy.model(input_ids=torch.tensor([ids])).logits[0, :-1].log_softmax(-1)
    return logits.gather(-1, torch.tensor(ids[1:])[:, None])[-answer:, 0].sum()


def gradients(policy: Policy) -> list[Any]:
    found = [weight.grad.clone() for weight in policy.model.parameters() if weight.grad is not None]
    policy.model.zero_grad()
    return found


def apart(ones: Sequence[Any], others: Sequence[Any]) -> float:
    scale = max(float(one.abs().max()) for one in others)
    return max(float((one - other).abs().max()) for one, other in zip(ones, others, strict=True)) / scale


@pytest.mark.parametrize("lora_rank", [0, 4])
def test_all_pairs_have_the_loss_and_gradients_of_dpo_on_exploded_pairs(
    tmp_path: Path, base: Path, lora_rank: int
) -> None:
    import torch
    from torch.nn.functional import logsigmoid

    answers = answers_of(base, lora_rank=lora_rank, loss="pairwise", beta=0.3)
    rows = known(tmp_path, base, answers)
    shaken(answers.policy)
    ours = answers.loss(rows)
    ours.backward()
    found = gradients(answers.policy)

    reference = policy_from(base, seed=0, device="cpu")
    total = torch.zeros(())
    for row in rows:
        ranked = [place for place, rank in enumerate(row.ranks) if rank is not None]
        losses = []
        for number, one in enumerate(ranked):
            for other in ranked[number + 1 :]:
                better, worse = sorted((one, other), key=lambda place: row.ranks[place] or 0)
                moved = []
                for place in (better, worse):
                    ids, count = row.sequences[place].ids, sum(row.sequences[place].types)
                    with torch.no_grad():
                        then = plain_logp(reference, ids, count)
                    moved.append(0.3 * (plain_logp(answers.policy, ids, count) - then))
                difference = moved[0] - moved[1]
                if row.ranks[better] == row.ranks[worse]:
                    losses.append(-(logsigmoid(difference) + logsigmoid(-difference)) / 2)
                else:
                    losses.append(-logsigmoid(difference - (row.margin or 0.0)))
        total = total + row.weight * torch.stack(losses).mean()
    plain = total / sum(row.weight for row in rows)
    plain.backward()
    assert ours.item() == pytest.approx(plain.item(), rel=1e-5)
    assert apart(found, gradients(answers.policy)) <= 1e-5


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("per_token", [False, True])
def test_a_step_in_pieces_is_the_same_step(tmp_path: Path, base: Path, loss: str, per_token: bool) -> None:
    import torch

    answers = answers_of(base, loss=loss, batch_tokens=64, per_token=per_token)
    rows = known(tmp_path, base, answers)
    shaken(answers.policy)
    whole = answers.loss(rows)
    whole.backward()
    wanted = gradients(answers.policy)
    pieces = answers.pieces(rows)
    assert len(pieces) > 1
    parts = [answers.loss(piece, answers.weight(rows)) for piece in pieces]
    torch.stack(parts).sum().backward()
    assert sum(part.item() for part in parts) == pytest.approx(whole.item(), rel=1e-5)
    assert apart(gradients(answers.policy), wanted) <= 1e-5


def test_a_reward_is_beta_times_how_far_the_policy_has_moved(tmp_path: Path, base: Path) -> None:
    answers = answers_of(base, beta=0.3)
    rows = known(tmp_path, base, answers)
    assert answers.rewards(rows).abs().max() < 1e-4, "nothing has moved yet"
    shaken(answers.policy)
    rewards = answers.rewards(rows).tolist()
    ids, count = rows[0].sequences[2].ids, sum(rows[0].sequences[2].types)
    assert ids[-1] == answers.policy.eos, "the end is a part of the answer"
    moved = plain_logp(answers.policy, ids, count).item() - rows[0].reference[2]
    assert rewards[2] == pytest.approx(0.3 * moved, rel=1e-4)
    answers.config = answers.config.model_copy(update={"per_token": True})
    assert answers.rewards(rows).tolist()[2] == pytest.approx(0.3 * moved / count, rel=1e-4)


# --- the cache of what the base thinks ---


def test_the_base_reads_a_ranking_once_and_later_runs_find_the_very_same_values(tmp_path: Path, base: Path) -> None:
    answers = answers_of(base)
    rows = known(tmp_path, base, answers)
    files = sorted((tmp_path / "cache").rglob("*.json"))
    assert len(files) == 1
    shaken(answers.policy)  # if it were read again now, it would say something else
    assert known(tmp_path, base, answers) == rows
    more = known(tmp_path, base, answers_of(base), [*ROWS, ranking(["new", "newer"], [1, 2], "Four")])
    assert more[: len(rows)] == rows, "alone or beside others, to the last bit"
    assert len(sorted((tmp_path / "cache").rglob("*.json"))) == 2


def test_another_base_has_a_cache_of_its_own_and_a_broken_file_costs_nothing_but_time(
    tmp_path: Path, base: Path
) -> None:
    from safetensors.torch import load_file, save_file

    answers = answers_of(base)
    rows = known(tmp_path, base, answers)
    other = shutil.copytree(base, tmp_path / "other")
    tensors = {name: tensor * 1.01 for name, tensor in load_file(base / "model.safetensors").items()}
    save_file(tensors, other / "model.safetensors", metadata={"format": "pt"})
    theirs = known(tmp_path, other, answers_of(other))
    assert all(a.reference != b.reference for a, b in zip(rows, theirs, strict=True))
    for path in (tmp_path / "cache").rglob("*.json"):
        path.write_text('{"half a file', encoding="utf-8")
        (path.parent / "list.json").write_text('["no object"]', encoding="utf-8")
        (path.parent / "nan.json").write_text('{"a": [NaN], "b": "text"}', encoding="utf-8")
    assert known(tmp_path, base, answers) == rows


def test_asked_to_stop_while_the_base_reads_it_keeps_what_it_has(tmp_path: Path, base: Path) -> None:
    answers = answers_of(base)
    rows = read([ranking([f"a{n}", f"b{n}"], [1, 2]) for n in range(40)], answers.policy, "start").rows
    run = a_run(tmp_path, base, cache=tmp_path / "cache", stop=Halt(1))
    assert with_reference(run, rows, answers.policy, answers, base) is None
    (kept,) = (tmp_path / "cache").rglob("*.json")
    assert len(json.loads(kept.read_text())) == 32


def test_a_cache_that_cannot_be_written_ends_no_run(tmp_path: Path, base: Path) -> None:
    (tmp_path / "cache").mkdir()
    answers = answers_of(base)
    rows = known(tmp_path, base, answers)
    (kept,) = (tmp_path / "cache").iterdir()
    shutil.rmtree(kept)
    kept.write_text("a file where a folder should be", encoding="utf-8")
    assert known(tmp_path, base, answers) == rows


# --- whole runs ---


@pytest.mark.parametrize(
    ("loss", "kind", "lora_rank"),
    [
        ("plackett-luce", "ranking", 0),
        pytest.param("lambda", "ranking", 8, marks=pytest.mark.slow),
        ("best-vs-worst", "pair", 0),
    ],
)
def test_it_learns_a_planted_truth_better_than_every_baseline(
    tmp_path: Path, base: Path, loss: str, kind: str, lora_rank: int
) -> None:
    numbers = train(a_run(tmp_path, base, loss=loss, kind=kind, lora_rank=lora_rank, rows=96, batch_rows=8))
    for other in ("random", "untrained", "longer", "base", "base-per-token"):
        assert numbers["accuracy/model/low"] > numbers[f"accuracy/{other}"]
    assert numbers["accuracy/model"] > 0.85
    assert numbers["tau/model"] > 0.7
    assert numbers["loss/heldout"] < numbers["loss/untrained"]
    assert numbers["reward/best"] > numbers["reward/worst"]
    assert numbers["steps"] == 12


def test_a_run_that_was_stopped_ends_with_the_same_weights_and_numbers(
    tmp_path: Path, base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings: dict[str, Any] = {"rows": 24, "batch_rows": 4, "epochs": 2, "samples": 2, "sample_tokens": 8}
    whole = train(a_run(tmp_path / "whole", base, **settings))
    assert train(a_run(tmp_path / "halted", base, stop=Halt(6), **settings)) == {}
    assert not (tmp_path / "halted" / "model").exists()
    capsys.readouterr()
    assert train(a_run(tmp_path / "halted", base, **settings)) == whole
    assert "resumed from the checkpoint at step" in capsys.readouterr().out
    ours, theirs = (tmp_path / name / "model" / "model.safetensors" for name in ("halted", "whole"))
    assert ours.read_bytes() == theirs.read_bytes()


class Brief:
    """A judge who likes short answers, and refuses one of more than 100 characters."""

    def score(self, _prompt: object, completions: Sequence[str]) -> list[float]:
        if max(map(len, completions)) > 100:
            raise ValueError("too long to be judged")
        return [-float(len(text)) for text in completions]


def said(out: str, kind: str) -> list[dict[str, Any]]:
    return [one for line in out.splitlines() if line.startswith("{") and (one := json.loads(line))["type"] == kind]


@pytest.mark.parametrize("lora_rank", [0, pytest.param(4, marks=pytest.mark.slow)])
def test_what_it_writes_before_and_after_is_judged_and_shown_side_by_side(
    tmp_path: Path, base: Path, capsys: pytest.CaptureFixture[str], lora_rank: int
) -> None:
    settings: dict[str, Any] = {
        "lora_rank": lora_rank,
        "samples": 4,
        "sample_tokens": 8,
        "rows": 16,
        "batch_rows": 4,
        "heldout": 8,
    }
    numbers = train(a_run(tmp_path / "judged", base, judge=Brief(), **settings))
    told = capsys.readouterr().out
    assert len(said(told, "sample")) == numbers["prompts/compared"] == 4
    assert all({"before", "text"} <= one.keys() for one in said(told, "sample"))
    assert all(one["values"]["kl/reference/k3"] >= 0 for one in said(told, "sample")), (
        "of one answer, k1 may be negative"
    )
    assert said(told, "report")[0]["title"] == "Before and after"
    assert numbers["winrate/judge/low"] <= numbers["winrate/judge"] <= numbers["winrate/judge/high"]
    assert numbers["kl/reference/k3"] > 0
    assert numbers["tokens/before"] > 0 < numbers["tokens/after"]
    assert "winrate/own-reward" not in numbers

    still = train(a_run(tmp_path / "still", base, learning_rate=1e-30, **settings))
    assert still["kl/reference"] == pytest.approx(0, abs=1e-3), "nothing has moved, so nothing differs"
    assert still["texts/changed"] == 0
    assert "winrate/own-reward" in still
    assert "It judges itself here" in said(capsys.readouterr().out, "report")[0]["note"]

    greedy = train(a_run(tmp_path / "greedy", base, sample_temperature=0, **settings))
    assert "kl/reference" not in greedy, "the likeliest token each time is no sample"


# --- rows that teach little or nothing ---

SAME = [ranking(["the same", "the same"], [1, 2], f"p{n}") for n in range(9)]
ALONE = [ranking(["alone"], [1], f"p{n}") for n in range(9)]
TIED = [ranking(["one", "two", "three"], [1, 1, 1], f"p{n}") for n in range(9)]
NO_WEIGHT = [ranking(["one", "two"], [1, 2], f"p{n}", weight=0.0) for n in range(9)]
LONG = [ranking(["word " * 10_000, "word " * 9_999], [1, 2], f"p{n}") for n in range(9)]


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        (SAME, "no ranking tells two different answers apart"),
        (ALONE, "no ranking tells two different answers apart"),
        (TIED, "no ranking tells two different answers apart"),
        (NO_WEIGHT, "no ranking tells two different answers apart"),
        (LONG, r"no ranking has two answers that fit into 512 tokens \(18 answers are too long\): raise max_length"),
    ],
)
def test_rows_that_teach_nothing_are_refused_before_anything_is_trained(
    tmp_path: Path, base: Path, rows: Rows, told: str
) -> None:
    with pytest.raises(NeedsNotMet, match=told):
        train(a_run(tmp_path, base, rows=rows, heldout=[]))
    assert not (tmp_path / "cache").exists()


def test_odd_rows_are_left_out_or_learned_from_beside_good_ones(tmp_path: Path, base: Path) -> None:
    thirty = ranking([f"answer {n} " + "please " * n for n in range(30)], range(1, 31), "Thirty")
    half = ranking(["short", "word " * 10_000, "shorter"], [1, 2, 3], "One is too long")
    empty = ranking(["", "something"], [2, 1], "")
    cut = ranking(["one", "two"], [1, 2], "very long " * 2000)
    rows = [thirty, half, empty, cut, *SAME[:1], *ALONE[:1], *TIED[:1]]
    numbers = train(a_run(tmp_path, base, rows=rows, heldout=rows, batch_tokens=512))
    assert numbers["rankings/train"] == 5, "thirty, the rest of half, empty, cut, and the ties beside them"
    assert numbers["rankings/left-out"] == 2
    assert numbers["answers/left-out"] == 2, "one in each split"
    assert numbers["rankings/cut-prompts"] == 1
    assert numbers["loss/train"] == pytest.approx(numbers["loss/train"])  # a number


def test_an_answer_without_a_prompt_follows_an_end_of_text(base: Path) -> None:
    answers = answers_of(base)
    answers.policy.longest = 12
    full = next(text for n in range(40) if len(answers.policy.answer_ids(text := "a b " * n)) >= 11)
    answers.policy.longest = len(answers.policy.answer_ids(full)) + 1
    (row,) = read([ranking([full, "short"], [1, 2])], answers.policy, "start").rows
    assert len(row.keys[0]) == answers.policy.longest
    assert all(one.ids[0] == answers.policy.eos and one.types[:2] == [0, 1] for one in row.sequences)
    assert answers.logps(row.sequences).shape == (2,)


def test_ratings_of_one_person_on_one_prompt_are_a_ranking(tmp_path: Path, base: Path) -> None:
    rated = [
        {"prompt": "p", "completion": text, "scores": {"style": score}, "annotators": [who]}
        for who, text, score in (("ada", "a", 1.0), ("ada", "b", 3.0), ("bo", "a", 2.0), ("ada", "c", 3.0))
    ]
    (found,) = as_rankings(rated)
    assert (found["completions"], found["ranks"]) == (["a", "b", "c"], [3, 1, 1])
    rows = [row | {"prompt": f"{n // 4}", "group": f"g{n // 4}"} for n, row in enumerate(worlds.rows("rating", 96, 1))]
    numbers = train(a_run(tmp_path, base, rows=rows, heldout=rows[:32], batch_rows=4))
    assert numbers["rankings/train"] <= 24
    assert numbers["accuracy/model"] > 0.6


def test_weights_that_are_no_numbers_end_the_run_before_training(tmp_path: Path, base: Path) -> None:
    from safetensors.torch import load_file, save_file

    poisoned = shutil.copytree(base, tmp_path / "poisoned")
    tensors = {name: tensor * float("nan") for name, tensor in load_file(base / "model.safetensors").items()}
    save_file(tensors, poisoned / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(FloatingPointError, match="weights are not all numbers: it is broken"):
        train(a_run(tmp_path / "run", poisoned))


def test_a_base_that_pads_with_its_end_of_text_learns_as_any_other(tmp_path: Path, base: Path) -> None:
    padless = pads_with_its_end(base, tmp_path / "padless")
    settings: dict[str, Any] = {"samples": 2, "sample_tokens": 8, "rows": 64, "batch_rows": 8, "learning_rate": 3e-3}
    numbers = train(a_run(tmp_path / "run", padless, **settings))
    assert numbers["loss/heldout"] < numbers["loss/untrained"]
    assert numbers["accuracy/model/low"] > 0.5


@pytest.mark.slow
def test_a_later_run_with_other_settings_finds_what_the_base_said_and_two_ranks_do_as_one(
    tmp_path: Path, weights: Path
) -> None:
    code, lines, log = finish(start(a_job(tmp_path / "one", weights, epochs=2)))
    assert code == 0, log
    assert "the base reads 48 rankings; 0 are known already" in [line.get("message") for line in lines]
    code, lines, log = finish(start(a_job(tmp_path / "two", weights, epochs=2, ranks=2)))
    assert code == 0, log
    assert not any("the base reads" in line.get("message", "") for line in lines)
    one, two = (result(tmp_path / name)["numbers"] for name in ("one", "two"))
    assert one.keys() == two.keys()
    for name in ("loss/train", "loss/heldout", "tau/model", "steps"):
        assert two[name] == pytest.approx(one[name], abs=1e-3)
    fresh = tmp_path / "fresh"
    code, _, log = finish(start(a_job(tmp_path / "three", fresh, epochs=2, ranks=2)))
    assert code == 0, log
    assert result(tmp_path / "three")["numbers"] == two, "also where two ranks shared the reading"


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_a_policy_that_can_write_writes_what_people_rank_higher(tmp_path: Path, seed: int) -> None:
    from tests.plugins.ppo_world import Judge, gold, taught

    writer = taught(tmp_path, seed=seed)
    rows = worlds.rows("ranking", 256, seed + 10)
    settings: dict[str, Any] = {"samples": 40, "sample_tokens": 24, "sample_temperature": 1.0, "learning_rate": 3e-4}
    numbers = train(a_run(tmp_path / "run", writer, judge=Judge(gold), rows=rows, seed=seed, **settings))
    print(
        {
            name: numbers[name]
            for name in numbers
            if name.startswith(("winrate", "score", "kl", "tokens", "accuracy/model"))
        }
    )
    assert numbers["winrate/judge/low"] > 0.5
    assert numbers["score/gain/low"] > 0
