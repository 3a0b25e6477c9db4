"""Weights are safetensors and nothing else: a pickle runs code when it is read.

Every folder is looked at here before transformers sees it, since transformers would fall back to pickled weights.
"""

from pathlib import Path

from feinschliff.model import ModelNotOpened

PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".h5", ".msgpack")


def check_folder(folder: Path) -> Path:
    """The folder, if it holds config.json and safetensors weights; ModelNotOpened says what is missing or refused."""
    if not folder.is_dir():
        raise ModelNotOpened(f"{folder}: no such folder")
    if not (folder / "config.json").is_file():
        raise ModelNotOpened(f"{folder}: no config.json in it, so it is no model folder in the Hugging Face layout")
    if list(folder.glob("*.safetensors")):
        return folder
    pickled = sorted(path.name for path in folder.iterdir() if path.suffix in PICKLED)
    if pickled:
        raise ModelNotOpened(
            f"{folder}: its weights are pickled ({', '.join(pickled[:3])}) and reading a pickle can run code; "
            "convert them to safetensors first. Nothing was loaded"
        )
    raise ModelNotOpened(f"{folder}: no *.safetensors weights in it")


def loading() -> dict[str, object]:
    """The arguments of every from_pretrained call: our folder only, no remote code, no pickles."""
    return {"local_files_only": True, "trust_remote_code": False, "use_safetensors": True}
