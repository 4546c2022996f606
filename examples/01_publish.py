"""Publish a decomposition: an immutable release in a registry, which here is a folder.

Equal content again is no second release; other content under the same version is refused. A card, written as on the
Hugging Face Hub, says under which licence it is and what it is for.
"""

import tempfile
from pathlib import Path

from modhub import Decomposition, ModhubError, card, decompose, publish
from modhub.demo.letters import load_letters
from modhub.demo.raster import Splits
from modhub.engine.training import train_small_cnn

README = "---\nlicense: mit\ndescription: Tells ten letters apart.\n---\nMade of drawn glyphs.\n"


def decomposed(data: Splits, seed: int) -> Decomposition:
    model = train_small_cnn(data.train, seed=seed, epochs=3)
    return decompose(
        model, data.train.x, data.train.y, classes=data.train.classes, name="demo/letters", rescale=1 / 255
    )


def main() -> None:
    data = load_letters(per_class=(40, 10, 10))
    first, second = decomposed(data, seed=0), decomposed(data, seed=1)

    with tempfile.TemporaryDirectory() as folder:
        registry = str(Path(folder) / "registry")

        release = publish(first, version="1.0.0", registry=registry)
        print(f"published {release.ref}: {len(release.classes)} modules, {release.size:,} bytes, {release.digest}")

        again = publish(first, version="1.0.0", registry=registry)
        print(f"published again: created={again.created}")

        try:
            publish(second, version="1.0.0", registry=registry)
        except ModhubError as error:
            print(f"refused: {error}")

        print(f"published {publish(second, registry=registry).ref}")

        readme = Path(folder) / "README.md"
        readme.write_text(README)
        carded = publish(second, registry=registry, card=readme)
        shown = card(str(carded.ref), registry=registry)
        print(f"published {carded.ref} with a card: {shown.card.license}, {shown.card.description}")

        print("\nthe registry:")
        for path in sorted(Path(registry).rglob("*.json")):
            print(f"  {path.relative_to(registry)}")


if __name__ == "__main__":
    main()
