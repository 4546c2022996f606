"""The derived files of what was said about modules, held to the histories that they are derived from."""

from __future__ import annotations

from collections.abc import Iterator

from modhub.errors import Incompatible, IntegrityError, NotFound
from modhub.registry.admin.findings import Finding
from modhub.registry.notices import DerivedNotices, histories_in, is_empty, noticed_namespaces, read_notices
from modhub.registry.reader import RegistryReader
from modhub.spec.layout import notices_path


def notices_findings(registry: RegistryReader) -> Iterator[Finding]:
    """Every such file that is missing, broken, or says anything else than its histories, in a store that can list.

    Hosts that cannot list serve it as it is, but here it is only a cache, so what is wrong with it is untidy. Where a
    history cannot be believed, which is reported for it, nothing is said of its namespace.
    """
    store = registry.store
    for namespace in sorted(noticed_namespaces(store)):
        derived = DerivedNotices(registry, namespace, afresh=True)
        wanted = derived.of(histories_in(store, namespace))
        path = notices_path(namespace)
        where = f"{store.url}/{path}"
        if derived.problems:
            continue
        try:
            found = read_notices(store, namespace)
        except NotFound:
            if not is_empty(wanted):
                yield Finding("untidy", "missing-index", path, f"{where} is missing.")
        except (IntegrityError, Incompatible) as error:
            yield Finding("untidy", "broken-index", path, error.message)
        else:
            if is_empty(wanted):
                yield Finding("untidy", "outdated-index", path, f"{where} is about a namespace without records.")
            elif found != wanted:
                yield Finding("untidy", "stale-index", path, f"{where} says something else than the records do.")
