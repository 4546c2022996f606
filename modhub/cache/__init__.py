"""The local cache: everything that was installed, content-addressed and trusted only after hashing it again.

    blobs/sha256/<2 hex>/<62 hex>                                             stored bytes, as in a registry
    manifests/<release digest>/<file digest>.json                             two registries may store one content twice
    signatures/<release digest>/<key id>.json                                 as in a registry
    installed/<namespace>/<model>/<version>/<release digest>/<slug>.json      one marker a class, written last
    aliases/<name>.json                                                       aliases that led to something installed

Any number of processes may work in it at once without locks: every file is written under a temporary name and then
renamed, its content follows from its name, and each class has a marker of its own. ``compose`` reads only from here.

From the bottom: ``files`` writes and reads files, ``markers`` knows what they mean, ``usage`` what needs which,
``verify`` and ``prune`` work on all of them, ``Cache`` is what the rest of modhub holds, ``CacheCatalog`` what
resolving asks.
"""
