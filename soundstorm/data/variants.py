"""Settings of which one field chooses the kind, each kind being a dataclass of its own."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields

from soundstorm.data.errors import InputError


@dataclass(frozen=True)
class Variants:
    """What a section of settings may be, such as the families of codecs."""

    field: str  # names the kind, and is a field of all of them
    classes: Mapping[str, type]  # by that name; the first one is the default

    @property
    def default(self) -> str:
        """The kind that is chosen where nothing is said."""
        return next(iter(self.classes))

    def of(self, kind: str, section: str) -> type:
        """The dataclass of one kind.

        Raises:
            ValueError: there is no such kind.
        """
        if not isinstance(kind, str) or kind not in self.classes:
            names = ", ".join(self.classes)
            raise InputError(f"{section}.{self.field} is {kind!r:.80}, expected one of {names}")
        return self.classes[kind]

    def of_settings(self, values: object, section: str) -> type:
        """The dataclass of settings that were read."""
        kind = values.get(self.field, self.default) if isinstance(values, dict) else self.default
        return self.of(kind, section)

    def owners(self, name: str) -> list[str]:
        """The kinds that have a field."""
        return [kind for kind, cls in self.classes.items() if name in _names(cls)]

    def refuse_foreign(self, kind: str, given: Collection[str], section: str) -> None:
        """
        Raises:
            ValueError: a field that only other kinds have.
        """
        for name in sorted(set(given) - _names(self.classes[kind])):
            owners, chosen = self.owners(name), f"{section}.{self.field}"
            raise InputError(
                f"{section}.{name} is a setting of {self.field} {' and '.join(owners)}, but {chosen} is {kind}; "
                f"leave it out, or choose {chosen}: {owners[0]}"
            )


def _names(cls: type) -> set[str]:
    return {field.name for field in fields(cls)}
