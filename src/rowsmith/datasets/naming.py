"""The models that the arguments of `generate` name: for all prompts, dealt out among several, or for single roles."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypedDict

from rowsmith.engine.axes import identity
from rowsmith.engine.models import Models, describe, full_name
from rowsmith.errors import ConfigError, did_you_mean
from rowsmith.llm.provider import Provider
from rowsmith.llm.sharing import Choice, Fallback, Spec, Spread, choose
from rowsmith.recipes.base import KindRecipe

Llm = Spec
Llms = Llm | Sequence[Llm]
Dealing = bool | Sequence[float]


class RoleLlms(TypedDict, total=False):
    """Models of single roles, by the arguments of `generate`; which of them a kind has, its recipe says."""

    writer_llm: Llm | None
    question_llm: Llm | None
    distractor_llm: Llm | None
    question_gen_llm: Llm | None
    chosen_response_gen_llm: Llm | None
    rejected_response_gen_llm: Llm | None
    evolution_llm: Llm | None
    judge_llm: Llm | None
    user_llm: Llm | None
    assistant_llm: Llm | None
    axis_llm: Llm | None
    topics_llm: Llm | None
    labeller_llm: Llm | None
    labeller_2_llm: Llm | None
    labeller_3_llm: Llm | None
    labeller_4_llm: Llm | None
    labeller_5_llm: Llm | None
    labeller_6_llm: Llm | None
    labeller_7_llm: Llm | None
    labeller_8_llm: Llm | None
    labeller_9_llm: Llm | None


def roles_of(
    recipe: type[KindRecipe],
    roles: Mapping[str, Llm] | None,
    arguments: Mapping[str, Llm | None],
    known: Iterable[str] = (),
) -> dict[str, Llm]:
    """Who takes which role, as far as it was named.

    Args:
        recipe: has the roles.
        roles: models by role.
        arguments: models by the recipe's argument of the role, such as `judge_llm`; None names nobody.
        known: other arguments that would have been right, for the message.

    Raises:
        ConfigError: there is no such role, or one is named twice.
    """
    by_argument = {argument: role for role, argument in recipe.arguments_of_roles().items()}
    if roles is not None and not isinstance(roles, Mapping):
        raise ConfigError(f"roles must be a mapping from a role to its model, such as {{{recipe.roles[0]}: a/b}}")
    named: dict[str, Llm] = {}
    for role, llm in (roles or {}).items():
        if role not in recipe.roles:
            raise ConfigError(f"{recipe.name} has no role {role!r}. {_nearest(role, recipe.roles, 'Its roles')}")
        named[role] = llm
    for argument, given in arguments.items():
        if argument not in by_argument:
            nearest = did_you_mean(argument, [*by_argument, *known])
            hint = nearest if nearest.startswith("Did") else f"Its roles: {', '.join(by_argument)}."
            raise ConfigError(f"{recipe.name} has no argument {argument!r}. {hint}")
        if given is None:
            continue
        role = by_argument[argument]
        if role in named:
            raise ConfigError(f"the model of the role {role!r} is named twice: in roles and as {argument}")
        named[role] = given
    return named


def models_of(recipe: KindRecipe, llms: Llms | None, roles: Mapping[str, Llm], *, spread: Dealing = False) -> Models:
    """The models that were named.

    Raises:
        ConfigError: none was, one is unknown, one stands twice, or a role has none.
    """
    chosen = {role: choose(llm) for role, llm in roles.items()}
    if llms is None:
        owner = _of_first_role(recipe, chosen)
        return Models([owner], {role: choice for role, choice in chosen.items() if role != recipe.needed_roles[0]})
    if chosen.keys() >= set(recipe.needed_roles):
        raise ConfigError(
            f"llms would be asked for nothing: every role of {recipe.name} has a model of its own "
            f"({', '.join(recipe.needed_roles)}). Leave llms out"
        )
    choices = [choose(llm) for llm in listed(llms)]
    weights = _weights(spread, len(choices))
    if spread is not False and len(choices) > 1:
        choices = [Spread(choices, weights)]
    _must_differ(choices)
    return Models(choices, chosen)


def count_of(llms: Llms | None, *, spread: Dealing = False) -> int:
    """To how many models every prompt goes; no model is made."""
    if llms is None:
        return 1
    count = len(listed(llms))
    _weights(spread, count)
    return 1 if spread is not False else count


def listed(llms: Llms) -> list[Llm]:
    """The models one by one.

    Raises:
        ConfigError: the list is empty.
    """
    single = isinstance(llms, str | Mapping | Fallback | Spread) or not isinstance(llms, Sequence)
    named: list[Llm] = [llms] if single else list(llms)  # type: ignore[list-item, arg-type]  # told apart just above
    if not named:
        raise ConfigError("llms is an empty list: name at least one model, such as 'openai/gpt-5-mini' or 'offline'")
    return named


def _of_first_role(recipe: KindRecipe, chosen: Mapping[str, Choice]) -> Choice:
    """Whose the cells are where no model takes all roles."""
    arguments = recipe.arguments_of_roles()
    lacking = [arguments[role] for role in recipe.needed_roles if role not in chosen]
    if not chosen:
        raise ConfigError(
            "no model was named: write generate(llms='openai/gpt-5-mini'), another provider/model, or 'offline' "
            "for a try without a model"
        )
    if lacking:
        raise ConfigError(f"no model was named for {', '.join(lacking)}: give it, or llms for all roles without one")
    return chosen[recipe.needed_roles[0]]


def _weights(spread: Dealing, count: int) -> Sequence[float] | None:
    if isinstance(spread, bool):
        return None
    if isinstance(spread, str | Mapping) or not isinstance(spread, Sequence) or len(spread) != count:
        raise ConfigError(
            f"spread must be True, False, or one weight for each of the {count} models, such as "
            f"{[3, *[1] * (count - 1)]}; got {spread!r}"
        )
    return spread


def _must_differ(choices: Sequence[Choice]) -> None:
    """No two of them may ask the same model first: it would get the same prompt twice."""
    known: list[bytes] = []
    for choice in choices:
        own = {identity(describe(provider)): provider for provider in _foremost(choice)}
        for key, provider in own.items():
            if key in known:
                raise ConfigError(
                    f"{full_name(provider)} stands twice in llms with the same settings; name each model once "
                    "(for more rows raise num_samples_per_prompt or target_rows)"
                )
        known.extend(own)


def _foremost(choice: Choice) -> list[Provider]:
    """The models that are asked first for one cell or another."""
    if isinstance(choice, Fallback):
        return _foremost(choice.members[0])
    if isinstance(choice, Spread):
        return [provider for member in choice.members for provider in _foremost(member)]
    return [choice]


def _nearest(given: object, known: Sequence[str], what: str) -> str:
    nearest = did_you_mean(str(given), known)
    return nearest if nearest.startswith("Did") else f"{what}: {', '.join(known)}."
