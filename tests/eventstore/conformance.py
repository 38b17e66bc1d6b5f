"""The contract of a store, clause by clause: passing these cases is the definition of "works".

`eventstore/store.py` states the contract as a table. Each case is a sentence of it under the number
of its clause, and `test_conformance.py` puts all of them to each engine:

| clauses    | where the cases are   | who rests on them |
|------------|-----------------------|-------------------|
| C1 to C4   | `cases_of_writing.py` | deciders: whole, where expected, once, one winner |
| C5 to C9   | `cases_of_reading.py` | projections, subscribers: nothing missing, in order, told |
| C10 to C12 | `cases_of_lasting.py` | everybody: equal, whole, there again |

A case sees nothing but the six methods, and `EventLog` where a clause is about those who call. It
takes no real time worth mentioning and waits for nothing but what it is about.
`test_conformance_bites.py` keeps a broken store for every case, because a case counts only once it
has failed where it should. What only one engine promises (torn tails, locks, damage) is tested
beside that engine.
"""

from tests.eventstore import cases_of_lasting, cases_of_reading, cases_of_writing
from tests.eventstore.driver import CASES, Case, Driver

__all__ = ["CASES", "Case", "Driver"]

assert {cases_of_writing, cases_of_reading, cases_of_lasting}  # importing them filled CASES
