"""Find and install single classes. The starter registry inside the package needs no network.

Installing loads neither keras nor tensorflow; every byte is verified on the way into the cache.
"""

import sys
import tempfile

from modhub import info, install, search


def main() -> None:
    print("search apple:")
    for hit in search("apple"):
        print(f"  {hit.ref}  {hit.cls or ''}  top-1 {hit.release.top_1:.1%}  from {hit.registry}")

    with tempfile.TemporaryDirectory() as cache:
        # c10 and c100 are aliases of the starter registry: cifar10/r56 and cifar100/r20.
        for module in install(["c10:cat", "c10:dog", "c100:apple"], cache=cache):
            print(f"installed {module.ref}: {module.fetched:,} bytes fetched")

        details = info("c10:cat", cache=cache)
        contract = details.manifest.content.contract
        cat = next(m for m in details.manifest.content.modules if m.slug == "cat")
        print(f"\n{details.ref} takes {contract.height}x{contract.width}x{contract.channels} {contract.colour} images")
        print(f"its cat keeps {sum(cat.stages.kept):,} nodes; its Jaccard index is {cat.jaccard:.2f}")

    print(f"\nkeras was imported: {'keras' in sys.modules}")


if __name__ == "__main__":
    main()
