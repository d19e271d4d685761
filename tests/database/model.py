"""The ledger in plain Python: what each call does if no other runs at the same time."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Post:
    """`ledger.post`: amounts by account and asset, and the references of the holds to release."""

    key: str
    lines: tuple[tuple[str, str, int], ...]
    holds: tuple[str, ...] = ()


@dataclass(frozen=True)
class Hold:
    """`ledger.hold`."""

    reference: str
    account: str
    asset: str
    amount: int


@dataclass(frozen=True)
class Release:
    """`ledger.release` of the hold with a reference."""

    reference: str


@dataclass(frozen=True)
class Block:
    """`ledger.block`."""

    account: str
    blocked: bool


@dataclass(frozen=True)
class Limit:
    """`ledger.set_limit`."""

    account: str
    asset: str
    lowest: int


Operation = Post | Hold | Release | Block | Limit
Result = uuid.UUID | bool | None

UNKNOWN = uuid.UUID(int=0)
"""The ID of a hold that no call has returned."""


@dataclass(frozen=True)
class Call:
    """A call with the IDs of the holds that it names, and what it returned."""

    operation: Operation
    ids: tuple[uuid.UUID, ...] = ()
    result: Result = None


class Refused(Exception):  # noqa: N818 (an answer, not a failure)
    """The ledger must refuse the call, with this class of error."""

    def __init__(self, error: str, why: str) -> None:
        super().__init__(why)
        self.error = error


@dataclass
class Balance:
    """A row of `ledger.balances`."""

    lowest: int | None
    amount: int = 0
    held: int = 0


@dataclass
class Held:
    """A row of `ledger.holds`."""

    hold: Hold
    released: bool = False


@dataclass
class Ledger:
    """Applies calls one after the other."""

    balances: dict[tuple[str, str], Balance]
    blocked: set[str] = field(default_factory=set[str])
    posts: dict[str, tuple[uuid.UUID, Post, tuple[uuid.UUID, ...]]] = field(
        default_factory=dict[str, tuple[uuid.UUID, Post, tuple[uuid.UUID, ...]]]
    )
    holds: dict[uuid.UUID, Held] = field(default_factory=dict[uuid.UUID, Held])

    def apply(self, call: Call) -> None:
        """Applies a call that succeeded.

        Raises:
            Refused: it must not succeed.
            AssertionError: it must return something else.
        """
        operation = call.operation
        if isinstance(operation, Post):
            self._post(operation, call)
        elif isinstance(operation, Hold):
            self._hold(operation, call)
        elif isinstance(operation, Release):
            self._release(call)
        elif isinstance(operation, Block):
            (self.blocked.add if operation.blocked else self.blocked.discard)(operation.account)
        else:
            key = operation.account, operation.asset
            self.balances.setdefault(key, Balance(operation.lowest)).lowest = operation.lowest
            self._check_limits()

    def _post(self, post: Post, call: Call) -> None:
        assert isinstance(call.result, uuid.UUID)
        if post.key in self.posts:
            known, *request = self.posts[post.key]
            if request != [post, call.ids]:
                raise Refused("UniqueViolation", f"key {post.key} was used for another transaction")
            assert call.result == known, f"{post.key} was posted as {known}, and again as {call.result}"
            return
        for account, asset, _ in post.lines:
            if (account, asset) not in self.balances:
                raise Refused("CheckViolation", f"{account} does not hold {asset}")
            if account in self.blocked:
                raise Refused("CheckViolation", f"{account} is blocked")
        for hold in call.ids:
            if not self._free(hold):
                raise Refused("CheckViolation", f"hold {hold} is not open")
        for account, asset, amount in post.lines:
            self.balances[account, asset].amount += amount
        self._check_limits()
        self.posts[post.key] = call.result, post, call.ids

    def _hold(self, hold: Hold, call: Call) -> None:
        assert isinstance(call.result, uuid.UUID)
        placed = next((item for item in self.holds.items() if item[1].hold.reference == hold.reference), None)
        if placed:
            known, held = placed
            if held.hold != hold or held.released:
                raise Refused("UniqueViolation", f"reference {hold.reference} was used for {held}")
            assert call.result == known, f"{hold} is {known}, and again {call.result}"
            return
        balance = self.balances.get((hold.account, hold.asset))
        if not balance:
            raise Refused("ForeignKeyViolation", f"{hold.account} does not hold {hold.asset}")
        if hold.account in self.blocked:
            raise Refused("CheckViolation", f"{hold.account} is blocked")
        balance.held += hold.amount
        self._check_limits()
        self.holds[call.result] = Held(hold)

    def _release(self, call: Call) -> None:
        (hold,) = call.ids
        if hold not in self.holds:
            raise Refused("NoDataFound", f"hold {hold} does not exist")
        freed = self._free(hold)
        assert call.result == freed, f"release of {hold} returned {call.result} instead of {freed}"

    def _free(self, hold: uuid.UUID) -> bool:
        held = self.holds.get(hold)
        if not held or held.released:
            return False
        held.released = True
        self.balances[held.hold.account, held.hold.asset].held -= held.hold.amount
        return True

    def _check_limits(self) -> None:
        for key, balance in self.balances.items():
            if balance.lowest is not None and balance.amount - balance.held < balance.lowest:
                raise Refused("CheckViolation", f"{key} would be below its limit: {balance}")
