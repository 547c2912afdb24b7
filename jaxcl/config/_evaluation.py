"""How an encoder is evaluated."""

from dataclasses import dataclass, field
from typing import Annotated

from jaxcl.config._bounds import (
    Bound,
    Count,
    PositiveShare,
    Probability,
    ShareRange,
    Size,
    at_least,
)

Rates = Annotated[
    tuple[float, ...],
    Bound("be positive, one at least", lambda rates: rates and min(rates) > 0),
]


@dataclass(frozen=True)
class LinearConfig:
    """A linear classifier on the frozen encoder, trained on augmented images."""

    epochs: Count = 0
    """Passes over the labeled training images; 0 = do not evaluate in this way. Papers
    take 90 to 100 on ImageNet."""
    batch_size: Size = 256
    """Images per step, or all where there are fewer."""
    learning_rates: Rates = (0.01, 0.1, 1.0)
    """Peak rates of SGD with a cosine decay. Of several, the one that is best on a held
    out tenth of the training images is used."""
    crop_scale: ShareRange = (0.08, 1.0)
    """Share of the image's area in a random resized crop; 1, 1 = no crop."""
    flip: Probability = 0.5
    """Probability of a horizontal flip; 0 where left and right differ, as in digits."""


@dataclass(frozen=True)
class FineTuneConfig:
    """A linear classifier that is trained together with the encoder below it."""

    steps: Count = 0
    """Updates of encoder and classifier; 0 = do not evaluate in this way."""
    batch_size: Size = 128
    """Images per step, or all where there are fewer."""
    learning_rates: Rates = (0.001,)
    """Peak rates of AdamW with a cosine decay. Of several, the one that is best on a
    held out tenth of the training images is used."""
    crop_scale: ShareRange = (0.08, 1.0)
    """Share of the image's area in a random resized crop; 1, 1 = no crop."""
    flip: Probability = 0.5
    """Probability of a horizontal flip; 0 where left and right differ, as in digits."""
    label_share: PositiveShare = 1.0
    """Share of the labeled training images of each class to train on, one at least."""
    labels_per_class: Count = 0
    """Number of labeled training images of each class to train on; 0 = all."""


@dataclass(frozen=True)
class EvaluationConfig:
    """How the embeddings are evaluated."""

    batch_size: Size = 500
    """Images to embed at a time."""
    neighbors: Count = 20
    """Neighbors of the kNN classifier; the near ones have more weight. 0 = the number
    from 1 to 200 with which training embeddings classify each other best."""
    max_train: Size = 10_000
    """Training samples on which the classifiers are fitted, the first of the split."""
    max_test: Size = 10_000
    """Samples of each test split, the first ones."""
    max_pairs: Annotated[int, at_least(2)] = 1_000
    """Training instances whose views the similarity statistics compare."""
    unseen_domains: bool = False
    """Also fit a linear probe for each training domain on all other domains."""
    linear: LinearConfig = field(default_factory=LinearConfig)
    """A linear classifier on the frozen encoder, trained on augmented images."""
    fine_tune: FineTuneConfig = field(default_factory=FineTuneConfig)
    """A linear classifier that is trained together with the encoder below it."""
