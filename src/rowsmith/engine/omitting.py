"""Parameters that the models of a run refuse: told once, noted in the ledger, left out from then on."""

from __future__ import annotations

import logging

from rowsmith.engine.ledger import Ledger
from rowsmith.engine.models import full_name
from rowsmith.errors import BadRequestError
from rowsmith.llm.parameters import Omissions, refusal
from rowsmith.llm.provider import Provider

_log = logging.getLogger(__name__)


class Omitting:
    """What is left out of a run's requests.

    A run that goes on leaves out from its first request what an earlier start was refused, so that it makes the same
    bodies and finds their answers.

    Args:
        ledger: of the run.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._omissions = self._noted()

    def current(self, provider: Provider) -> frozenset[str]:
        """What to leave out of this provider's requests."""
        return self._omissions.current(provider)

    def stages(self, provider: Provider) -> list[frozenset[str]]:
        """What is left out, and what was before more was found out: requests that may have answers, the latest first.

        Looked up in the ledger itself: others who ask for the same run may have found out more.
        """
        return self._noted().stages(provider)

    def leaves_out(self, provider: Provider, error: BadRequestError, omit: frozenset[str]) -> bool:
        """Leave out what the service refuses, if it is a parameter: whether the request is to be put again.

        Args:
            provider: who refused.
            error: what it said.
            omit: what the refused request was without.

        Raises:
            BadRequestError: it is a parameter, and the user wants an error for it.
        """
        found = refusal(provider, error, omit)
        if found is None:
            return False
        if self._omissions.add(provider, found.name):
            self._ledger.set_meta(omitted=self._omissions.to_json())
            model = full_name(provider)
            if found.instead:
                _log.info("%s refuses `%s`: sent as `%s` from now on.", model, found.name, found.instead)
            else:
                _log.warning("%s refuses `%s`: left out from now on. It said: %s", model, found.name, error.message)
        return True

    def _noted(self) -> Omissions:
        return Omissions.from_json(self._ledger.meta.get("omitted", "[]"))
