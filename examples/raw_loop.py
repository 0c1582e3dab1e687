"""Learning events in a plain PyTorch loop: the lines that are new are marked.

python examples/raw_loop.py
"""

import torch
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset
from unmemorize import LearningEvents, data, models
from unmemorize.loops import WithIds

EPOCHS = 11


def main() -> LearningEvents:
    """Train on digits with 5% of the labels flipped, and say how the flipped ones look."""
    digits = data.load("digits", noise=0.05)
    train = TensorDataset(digits.train.images, digits.train.labels)
    torch.manual_seed(0)
    model = models.build("convnet", digits)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.03, momentum=0.9, weight_decay=5e-4)
    loader = DataLoader(WithIds(train), batch_size=48, shuffle=True)  # new: WithIds
    events = LearningEvents(len(train))  # new
    for epoch in range(EPOCHS):
        for images, labels, ids in loader:  # new: ids
            logits = model(images)
            loss = cross_entropy(logits, labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            events.update(ids, logits, labels, epoch=epoch)  # new
    confidence = events.scores()["confidence"]
    print(f"mean confidence in a flipped label {confidence[digits.flipped].mean():.2f}, "
          f"in another {confidence[~digits.flipped].mean():.2f} (n = {len(train)})")  # fmt: skip
    return events


if __name__ == "__main__":
    main()
