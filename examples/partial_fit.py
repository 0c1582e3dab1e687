"""Learning events without PyTorch: a linear classifier of scikit-learn, trained batch by batch.

python examples/partial_fit.py
"""

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import SGDClassifier
from unmemorize import LearningEvents

EPOCHS, BATCH, FLIPPED = 20, 64, 90


def main() -> tuple[LearningEvents, np.ndarray]:
    """Train on digits with 5% of the labels flipped, and say how the flipped ones look."""
    images, labels = load_digits(return_X_y=True)
    images = images / 16
    generator = np.random.default_rng(0)
    flipped = generator.choice(len(labels), FLIPPED, replace=False)
    labels[flipped] = (labels[flipped] + generator.integers(1, 10, FLIPPED)) % 10

    model = SGDClassifier(loss="log_loss", random_state=0)
    events = LearningEvents(len(labels))
    for epoch in range(EPOCHS):
        order = generator.permutation(len(labels))
        for ids in np.array_split(order, len(order) // BATCH):
            model.partial_fit(images[ids], labels[ids], classes=np.arange(10))
            # One-against-the-rest scores stand for logits; they are of the model after the step.
            events.update(ids, model.decision_function(images[ids]), labels[ids], epoch=epoch)
    confidence = events.scores()["confidence"]
    others = np.delete(confidence, flipped)
    print(f"mean confidence in a flipped label {confidence[flipped].mean():.2f}, in another {others.mean():.2f} "
          f"(n = {len(labels)})")  # fmt: skip
    return events, flipped


if __name__ == "__main__":
    main()
