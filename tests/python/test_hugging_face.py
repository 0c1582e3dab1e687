"""The callback inside the Trainer of transformers itself."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import Dataset

transformers = pytest.importorskip("transformers", exc_type=ImportError)
pytest.importorskip("accelerate", exc_type=ImportError)

from transformers import PretrainedConfig, PreTrainedModel, Trainer, TrainingArguments  # noqa: E402
from transformers.modeling_outputs import SequenceClassifierOutput  # noqa: E402
from unmemorize import LearningEvents  # noqa: E402
from unmemorize.loops import WithIds  # noqa: E402
from unmemorize.loops.hugging_face import LearningEventsCallback  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:::transformers", "ignore:::accelerate", "ignore:::torch")  # theirs
torch.set_num_threads(1)
N = 20


class Examples(Dataset):
    def __init__(self):
        self.x = torch.randn(N, 3, generator=torch.Generator().manual_seed(1))

    def __len__(self):
        return N

    def __getitem__(self, index):
        return {"x": self.x[index], "label": index % 2}


class Classifier(PreTrainedModel):
    """A user's model; it knows of no ids, and keeps what it computes in train mode."""

    config_class = PretrainedConfig

    def __init__(self):
        super().__init__(PretrainedConfig())
        torch.manual_seed(0)
        self.network = nn.Linear(3, 2)
        self.steps = []
        self.post_init()

    def _init_weights(self, module):
        pass

    def forward(self, x, labels=None):
        logits = self.network(x)
        if self.training:
            self.steps.append((x.detach().clone(), logits.detach().clone(), labels))
        return SequenceClassifierOutput(loss=cross_entropy(logits, labels), logits=logits)


def trainer(folder, examples, events, epochs, **options):
    quiet = {"report_to": [], "disable_tqdm": True, "use_cpu": True, "save_strategy": "no", "logging_strategy": "no"}
    arguments = TrainingArguments(
        output_dir=str(folder), num_train_epochs=epochs, per_device_train_batch_size=6, learning_rate=0.1,
        dataloader_pin_memory=False, **{"remove_unused_columns": False} | quiet | options,
    )  # fmt: skip
    return Trainer(
        Classifier(), arguments, train_dataset=examples, eval_dataset=WithIds(Examples()),
        callbacks=[LearningEventsCallback(events)],
    )  # fmt: skip


def expected(steps):
    """By the value of the input, which is another for each example."""
    ids = {tuple(x.tolist()): i for i, x in enumerate(Examples().x)}
    events = LearningEvents(N)
    for step, (x, logits, labels) in enumerate(steps):
        events.update([ids[tuple(row.tolist())] for row in x], logits, labels, epoch=step // 4)
    return events.scores()


def test_every_step_is_recorded_and_evaluation_is_not(tmp_path):
    events = LearningEvents(N)
    run = trainer(tmp_path, WithIds(Examples()), events, 3, eval_strategy="epoch", gradient_accumulation_steps=2)
    run.train()
    assert (events.seen == 3).all()
    for name, score in expected(run.model.steps).items():
        np.testing.assert_array_equal(events.scores()[name], score, err_msg=name)
    assert not run.model._forward_hooks
    assert not run.model._forward_pre_hooks


def test_a_training_that_resumes_goes_on_recording(tmp_path):
    whole, events = LearningEvents(N), LearningEvents(N)
    trainer(tmp_path / "whole", WithIds(Examples()), whole, 3).train()
    options = {"save_strategy": "steps", "save_steps": 6}  # in the middle of the second of 4 steps each
    trainer(tmp_path, WithIds(Examples()), LearningEvents(N), 3, **options).train()
    assert (tmp_path / "checkpoint-6" / "learning_events.safetensors").is_file()
    trainer(tmp_path, WithIds(Examples()), events, 3).train(resume_from_checkpoint=str(tmp_path / "checkpoint-6"))
    assert (events.seen == 3).all()
    for name, score in whole.scores().items():
        np.testing.assert_allclose(events.scores()[name], score, rtol=1e-6, err_msg=name)
    (tmp_path / "checkpoint-6" / "learning_events.safetensors").unlink()
    with pytest.raises(FileNotFoundError):
        trainer(tmp_path, WithIds(Examples()), LearningEvents(N), 3).train(
            resume_from_checkpoint=str(tmp_path / "checkpoint-6")
        )


def test_batches_without_ids_are_refused_at_the_first_step(tmp_path):
    with pytest.raises(ValueError, match=r"no 'id' among .*; wrap the training set .* remove_unused_columns=False"):
        trainer(tmp_path, Examples(), LearningEvents(N), 1).train()
    with pytest.raises(ValueError, match="no 'id' among"):  # the trainer has dropped them
        trainer(tmp_path, WithIds(Examples()), LearningEvents(N), 1, remove_unused_columns=True).train()


def test_events_of_mode_eval_are_refused():
    with pytest.raises(ValueError, match=r'mode "train", got \'eval\''):
        LearningEventsCallback(LearningEvents(N, mode="eval"))
