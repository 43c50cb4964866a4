"""A dataset's run looked over before it is paid for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rowsmith.datasets.base import How
from rowsmith.datasets.naming import Llm, Llms, RoleLlms, count_of, listed, models_of
from rowsmith.engine.batch.wire import batches_of
from rowsmith.engine.checkup import Checkup, Finding, Verdict, check_budget, check_output, check_room
from rowsmith.engine.fingerprint import fingerprint
from rowsmith.engine.model_check import check_models
from rowsmith.engine.models import EMBEDDING, Models, full_name
from rowsmith.engine.options import Options
from rowsmith.engine.run import plan_of
from rowsmith.engine.wording import count
from rowsmith.errors import ConfigError, RowsmithError
from rowsmith.llm.prices import Prices
from rowsmith.llm.sharing import Choice, choose, leaves
from rowsmith.llm.vectors import numpy

if TYPE_CHECKING:
    from rowsmith.datasets.base import GeneratedDataset
    from rowsmith.engine.estimate import Estimate
    from rowsmith.llm.provider import Provider

_OTHERS = How.__annotations__.keys() - RoleLlms.__annotations__.keys()
"""The arguments of `generate` that name no role's model."""


@dataclass(slots=True)
class _Named:
    """The models that were named, each made by itself, so that one that cannot be hides no other.

    Attributes:
        llms: None where none was named, or one of them cannot be made.
        roles: those that can be made.
        found: every model that can be made, by itself or in a wrapper.
        faults: why others cannot.
    """

    llms: list[Choice] | None = None
    roles: dict[str, Choice] = field(default_factory=dict)
    found: list[Choice] = field(default_factory=list)
    faults: list[Finding] = field(default_factory=list)

    def make(self, spec: Llm, where: str) -> Choice | None:
        """The choice that is meant; None, with the faults of each of its members, if it cannot be made."""
        try:
            made = choose(spec)
        except ConfigError as error:
            known = len(self.faults)
            for member in _members(spec):
                self.make(member, where)
            if len(self.faults) == known:
                self._fault(_name(spec) or where, error)
            return None
        self.found.append(made)
        return made

    def _fault(self, subject: str, error: ConfigError) -> None:
        fault = Finding(subject, Verdict.ERROR, str(error))
        if fault not in self.faults:
            self.faults.append(fault)

    def providers(self) -> list[Provider]:
        """Every model that can be asked, each once."""
        known: list[Provider] = []
        for provider in (leaf for choice in self.found for leaf in leaves(choice)):
            if not any(provider is other or provider == other for other in known):
                known.append(provider)
        return known


async def check_up(dataset: GeneratedDataset[Any], llms: Llms | None, how: How, *, calls: bool) -> Checkup:
    """Look a run over; see `GeneratedDataset.validate`.

    Args:
        dataset: what is to be made.
        llms: the models, as for `generate`.
        how: how it is carried out, as for `generate`.
        calls: ask each model one tiny thing.
    """
    first = await dataset._first_findings(calls=calls)
    found = [_configuration(dataset, llms, how), *first]
    options = _options(dataset, how, found)
    named = _named(dataset, llms, how, found)
    models = _models(dataset, named, how, found)
    providers = models.all() if models is not None else named.providers()
    embeddings = _embeddings(dataset, found)
    asked = providers if embeddings is None else [*providers, embeddings]
    roles = _roles(dataset, models) if models is not None else {}
    if embeddings is not None:
        roles[len(providers)] = [EMBEDDING]
    found += await check_models(
        asked,
        Prices(options.clock.date),
        options.clock,
        choices=(*models.llms, *models.roles.values()) if models is not None else (),
        roles=roles,
        calls=calls,
        embeddings=embeddings,
    )
    found += _batches(dataset._of_rows(models).all() if models is not None else providers, options)
    estimate = None
    if models is not None and found[0].verdict is Verdict.OK:
        estimate = await _estimate(dataset, models, options, found)
    faulty = any(finding.subject == "embeddings" for finding in found)
    found.append(_output(dataset, None if faulty else models, found[0], options))
    found += dataset._further_findings(models, options)
    found.append(check_room(dataset.config.output_file, options, len(asked), estimate))
    if estimate is not None:
        found += check_budget(options, estimate)
        found += [_unlimited(model) for model in estimate.unpriced if options.max_cost is not None]
    return Checkup(tuple(found), estimate)


def _configuration(dataset: GeneratedDataset[Any], llms: Llms | None, how: How) -> Finding:
    """What the configuration and the prompts come to. That they fit together was seen when the dataset was made."""
    name = dataset.recipe.name
    if dataset.config.remote:
        text = f"{name}: its source is fetched when the run begins; rows and costs are not known before"
        return Finding("configuration", Verdict.WARNING, text)
    try:
        spread = how.get("spread", False)
        rows = dataset.get_num_expected_rows(llms, spread=spread)
        cells = len(dataset._plan(count_of(llms, spread=spread)))
    except RowsmithError as error:
        return Finding("configuration", Verdict.ERROR, str(error))
    if not rows:
        return Finding("configuration", Verdict.ERROR, f"{name}: it comes to no rows")
    text = f"{name}: {count(rows, 'row')} from {count(cells, 'cell')}"
    if unknown := dataset._not_known():
        return Finding("configuration", Verdict.WARNING, f"{text}; {unknown}")
    return Finding("configuration", Verdict.OK, text)


def _options(dataset: GeneratedDataset[Any], how: How, found: list[Finding]) -> Options:
    try:
        return dataset._options(how.get("options"), how)
    except ConfigError as error:
        found.append(Finding("options", Verdict.ERROR, str(error)))
        return Options()


def _named(dataset: GeneratedDataset[Any], llms: Llms | None, how: How, found: list[Finding]) -> _Named:
    """All models that are named, for all prompts or for single roles."""
    named = _Named()
    arguments: dict[str, Any] = {key: llm for key, llm in how.items() if key not in _OTHERS}
    roles: Mapping[str, Any] = {}
    try:
        llms, roles = dataset._named(llms, how.get("roles"), arguments)
    except ConfigError as error:
        named.faults.append(Finding("roles", Verdict.ERROR, str(error)))
    if llms is not None:
        try:
            made = [named.make(spec, "llms") for spec in listed(llms)]
        except ConfigError as error:
            named.faults.append(Finding("llms", Verdict.ERROR, str(error)))
        else:
            named.llms = [choice for choice in made if choice is not None] if None not in made else None
    for role, spec in roles.items():
        choice = named.make(spec, f"roles.{role}")
        if choice is not None:
            named.roles[role] = choice
    found += named.faults
    needed = dataset._recipe.needed_roles
    for role in named.roles.keys() - set(needed):
        text = f"a model is named for it, but this configuration asks only as {', '.join(needed)}"
        found.append(Finding(f"role {role}", Verdict.WARNING, text))
    return named


def _models(dataset: GeneratedDataset[Any], named: _Named, how: How, found: list[Finding]) -> Models | None:
    """Who is asked for what; None if that cannot be said."""
    if named.faults:
        return None
    try:
        models = models_of(dataset._recipe, named.llms, named.roles, spread=how.get("spread", False))
        dataset._of_rows(models)
    except ConfigError as error:
        found.append(Finding("models", Verdict.ERROR, str(error)))
        return None
    return models


def _roles(dataset: GeneratedDataset[Any], models: Models) -> dict[int, list[str]]:
    """What each model is asked as, by its place; nothing where all are asked as everything."""
    needed = dataset._recipe.needed_roles
    if not models.roles:
        return {}
    asked: dict[int, list[str]] = {}
    for role in needed:
        choices = [models.roles[role]] if role in models.roles else models.llms
        for place, provider in enumerate(models.all()):
            if any(provider is leaf for choice in choices for leaf in leaves(choice)):
                asked.setdefault(place, []).append(role)
    return asked


def _embeddings(dataset: GeneratedDataset[Any], found: list[Finding]) -> Provider | None:
    """The model by whose vectors rows are compared; None where there is none, or it cannot be made."""
    try:
        model = dataset._recipe.embeddings
        if model is not None:
            numpy()
    except ConfigError as error:
        found.append(Finding("embeddings", Verdict.ERROR, str(error)))
        return None
    return model


def _batches(providers: Sequence[Provider], options: Options) -> Iterator[Finding]:
    """Which models cannot be asked in batches, where the run is to."""
    for provider in providers if options.batch else ():
        name, endpoint = full_name(provider), batches_of(provider)
        if endpoint is None:
            text = f"there is no batch endpoint that Rowsmith knows at {provider.endpoint}: leave batch out"
            yield Finding(f"batches of {name}", Verdict.ERROR, text)
        else:
            most = f"at most {endpoint.limits.requests:,} requests each"
            text = f"{most}, at {endpoint.price_factor:.0%} of the price"
            yield Finding(f"batches of {name}", Verdict.OK, text)


async def _estimate(
    dataset: GeneratedDataset[Any], models: Models, options: Options, found: list[Finding]
) -> Estimate | None:
    """What the run will take, whatever it may spend."""
    asked = dataset._of_rows(models).all()
    by_batch = options.batch and all(batches_of(provider) is not None for provider in asked)
    unlimited = options.but(max_cost=None, max_requests=None, max_tokens=None, batch=by_batch)
    try:
        return await dataset.estimate_async(list(models.llms), roles=models.roles, options=unlimited)
    except RowsmithError as error:
        found.append(Finding("estimate", Verdict.WARNING, f"it cannot be reckoned: {error}"))
        return None


def _output(dataset: GeneratedDataset[Any], models: Models | None, configuration: Finding, options: Options) -> Finding:
    run = None
    if models is not None and configuration.verdict is Verdict.OK:
        recipe, asked = dataset._recipe, dataset._of_rows(models)
        run = fingerprint(recipe, asked, plan_of(recipe, asked))
    return check_output(dataset.config.output_file, run, fresh=options.fresh, batch=options.batch)


def _unlimited(model: str) -> Finding:
    text = f"max_cost cannot be kept without a price for {model}: the run would not begin"
    return Finding("max_cost", Verdict.ERROR, text)


def _members(spec: object) -> list[Any]:
    """The models within a wrapper that is written as a mapping."""
    if not isinstance(spec, Mapping):
        return []
    listed_within = spec.get("fallback", spec.get("spread"))
    within = listed_within if isinstance(listed_within, list | tuple) and "model" not in spec else ()
    return [
        {key: value for key, value in member.items() if key != "weight"} if isinstance(member, Mapping) else member
        for member in within
    ]


def _name(spec: object) -> str:
    """A model as a user wrote it, without its arguments."""
    if isinstance(spec, Mapping):
        spec = spec.get("model")
    return spec if isinstance(spec, str) else ""
