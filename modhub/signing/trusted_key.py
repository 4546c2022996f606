"""A public key that the user believes, as the configuration has it: bound to namespaces, and good until revoked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, field_validator

from modhub.errors import UsageError
from modhub.signing.keys import PublicKey, parse_public_key, short_id
from modhub.signing.statements import Statement
from modhub.spec.refs import check_name
from modhub.spec.registry_files import Reason

#: In the place of a namespace: a key bound to it counts for all of them.
EVERY_NAMESPACE: Final = "*"


class TrustedKey(BaseModel):
    """A public key as ``[[trust]]`` in the configuration has it; ``revoked`` is the reason, if it is."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    key: str
    name: str
    namespaces: Annotated[tuple[str, ...], Field(min_length=1)]
    revoked: Reason | None = None

    @field_validator("key")
    @classmethod
    def _is_key(cls, value: str) -> str:
        _check(parse_public_key, value)
        return value

    @field_validator("name")
    @classmethod
    def _is_name(cls, value: str) -> str:
        _check(lambda text: check_name(text, "key"), value)
        return value

    @field_validator("namespaces")
    @classmethod
    def _are_namespaces(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for namespace in value:
            if namespace != EVERY_NAMESPACE:
                _check(lambda text: check_name(text, "namespace"), namespace)
        return value

    @property
    def public(self) -> PublicKey:
        return parse_public_key(self.key)

    @property
    def id(self) -> str:
        """The public key's id, 64 hexadecimal digits."""
        return self.public.id

    def __str__(self) -> str:
        return f"{self.name!r} ({short_id(self.id)})"

    def is_bound_to(self, namespace: str) -> bool:
        return EVERY_NAMESPACE in self.namespaces or namespace in self.namespaces

    def verifies(self, statement: Statement, data: bytes) -> bool:
        """As ``PublicKey.verifies``."""
        return self.public.verifies(statement, data)


def _check(check: Callable[[str], object], text: str) -> None:
    """Let pydantic, which passes on only ValueError, say where ``text`` is when ``check`` refuses it."""
    try:
        check(text)
    except UsageError as error:
        raise ValueError(error.message.rstrip(".")) from error
