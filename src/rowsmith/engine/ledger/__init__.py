"""The ledger: what is in it has happened; what is not has not."""

from rowsmith.engine.ledger.ledger import Ledger
from rowsmith.engine.ledger.paths import RunPaths
from rowsmith.engine.ledger.records import CallRecord, CellStatus, Kind

__all__ = ["CallRecord", "CellStatus", "Kind", "Ledger", "RunPaths"]
