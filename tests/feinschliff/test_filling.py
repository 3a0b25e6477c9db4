"""Filling in settings: what is wrong stands at the setting where something can be done about it."""

import warnings
from typing import Annotated, Any

import pytest
from pydantic import AfterValidator, BaseModel, Field, field_validator, model_validator

from feinschliff.filling import WrongSetting, fill, odd
from feinschliff.trainer import validates


class Plain(BaseModel):
    steps: int = Field(default=4, ge=1, le=99, description="How many.")
    batch: int = Field(default=2, ge=1, le=99, description="How large.")


class Ruled(Plain):
    @model_validator(mode="after")
    def _fits(self) -> "Ruled":
        if self.steps < self.batch:
            raise ValueError(f"one batch ({self.batch}) must fit into steps ({self.steps})")
        if self.steps == 13:
            raise ValueError("no luck")
        return self


class Told(Plain):
    @field_validator("steps")
    @classmethod
    def _even(cls, steps: int) -> int:
        if steps % 2:
            raise ValueError("an even number")
        return steps


class Lowered(Plain):
    word: Annotated[str, AfterValidator(str.lower)] = Field(default="a", description="A word.")


class Later(Plain):
    def model_post_init(self, _context: object) -> None:
        pass


@pytest.mark.parametrize(
    ("config", "given", "faults"),
    [
        (Ruled, {"steps": 3, "batch": 5}, {"batch": "one batch (5) must fit into steps (3)"}),  # the one named first
        (Ruled, {"steps": 13}, {"": "no luck"}),
        (Told, {"steps": 3}, {"steps": "an even number"}),
        (Plain, {"stepps": 3}, {"stepps": "there is no setting 'stepps' (did you mean steps?); there are: steps, batch"}),
    ],
)  # fmt: skip
def test_a_fault_stands_at_its_setting_without_pydantics_own_phrases(
    config: type[BaseModel], given: dict[str, Any], faults: dict[str, str]
) -> None:
    with pytest.raises(WrongSetting) as wrong:
        fill(config, given)
    assert wrong.value.faults == faults
    assert "error," not in str(wrong.value)


def test_all_faults_are_named_at_once() -> None:
    with pytest.raises(WrongSetting, match=r"config, steps: .*; config, batch: "):
        fill(Plain, {"steps": 0, "batch": 100})


@pytest.mark.parametrize(
    ("config", "true"), [(Plain, False), (Ruled, True), (Told, True), (Lowered, True), (Later, True)]
)
def test_whether_a_schema_says_all_is_known_beforehand(config: type[BaseModel], true: bool) -> None:
    assert validates(config) == true


class Warned(Plain):
    @model_validator(mode="after")
    def _usual(self) -> "Warned":
        if self.batch > 50:
            warnings.warn(f"a batch of {self.batch} is large for steps ({self.steps})", stacklevel=2)
        if self.steps > 50:
            warnings.warn("that is much", stacklevel=2)
            warnings.warn("nobody should hear of this", DeprecationWarning, stacklevel=2)
        return self


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, {}),
        ({"batch": 51}, {"batch": "a batch of 51 is large for steps (4)"}),
        ({"steps": 51}, {"": "that is much"}),
    ],
)
def test_what_is_odd_is_told_at_the_setting_that_it_names_and_taken_all_the_same(
    given: dict[str, Any], told: dict[str, str]
) -> None:
    filled, found = odd(Warned, given)
    assert (filled, found) == (Warned.model_construct(**{"steps": 4, "batch": 2, **given}), told)
