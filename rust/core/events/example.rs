//! The record of one training example.

use super::softmax::Outcome;

/// The names of [`LearningEvents::scores`](super::LearningEvents::scores), in order.
pub const NAMES: [&str; 10] = [
    "confidence",
    "max_confidence",
    "entropy",
    "accuracy",
    "loss",
    "margin",
    "el2n",
    "variability",
    "forgetting_events",
    "first_learned",
];

/// An epoch and whether the example was right in it, in 32 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sight(pub u32);

impl Sight {
    pub fn new(epoch: u32, correct: bool) -> Self {
        Self(epoch << 1 | u32::from(correct))
    }

    pub fn epoch(self) -> u32 {
        self.0 >> 1
    }

    pub fn correct(self) -> bool {
        self.0 & 1 == 1
    }
}

/// What is kept of one example: 80 bytes, whatever the number of epochs and classes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Example {
    // Sums over the sights.
    pub confidence: f64,
    pub max_confidence: f64,
    pub entropy: f64,
    pub loss: f64,
    pub margin: f64,
    pub el2n: f64,
    pub spread: f64, // of squared deviations of the confidence from its mean (Welford)
    pub seen: u32,
    pub right: u32,
    pub forgotten: u32, // flips from right to wrong; UNKNOWN after a merge that lost their order
    pub learned: u32,   // the first epoch in which it was right, or NEVER
    pub first: Sight,
    pub last: Sight,
}

/// The order of the sights is lost.
pub const UNKNOWN: u32 = u32::MAX;
/// It was never right.
pub const NEVER: u32 = u32::MAX;

impl Example {
    pub const UNSEEN: Self = Self {
        confidence: 0.0,
        max_confidence: 0.0,
        entropy: 0.0,
        loss: 0.0,
        margin: 0.0,
        el2n: 0.0,
        spread: 0.0,
        seen: 0,
        right: 0,
        forgotten: 0,
        learned: NEVER,
        first: Sight(0),
        last: Sight(0),
    };

    pub fn next_epoch(&self) -> u32 {
        if self.seen == 0 { 0 } else { self.last.epoch() + 1 }
    }

    pub fn record(&mut self, outcome: &Outcome, epoch: u32) {
        // Choices, not branches: whether the example is right cannot be foreseen.
        let sight = Sight::new(epoch, outcome.correct);
        let fresh = self.seen == 0;
        let forgot = self.last.correct() && !outcome.correct && self.forgotten != UNKNOWN;
        self.forgotten += u32::from(forgot);
        self.first = if fresh { sight } else { self.first };
        self.right = self.right.saturating_add(u32::from(outcome.correct));
        self.learned = self.learned.min(if outcome.correct { epoch } else { NEVER });
        let before = self.mean(self.confidence);
        self.seen = self.seen.saturating_add(1);
        self.confidence += outcome.confidence;
        let spread = (outcome.confidence - before) * (outcome.confidence - self.mean(self.confidence));
        self.spread += if fresh { 0.0 } else { spread };
        self.max_confidence += outcome.max_confidence;
        self.entropy += outcome.entropy;
        self.loss += outcome.loss;
        self.margin += outcome.margin;
        self.el2n += outcome.el2n;
        self.last = sight;
    }

    fn mean(&self, sum: f64) -> f64 {
        sum / f64::from(self.seen)
    }

    /// This record and one of later, earlier or other epochs as one. See [`LearningEvents::merge`](super::LearningEvents::merge).
    pub fn merged(&self, other: &Self) -> Self {
        if other.seen == 0 {
            return *self;
        }
        if self.seen == 0 {
            return *other;
        }
        let forgotten = if self.last.epoch() < other.first.epoch() {
            Self::joined(self, other)
        } else if other.last.epoch() < self.first.epoch() {
            Self::joined(other, self)
        } else {
            UNKNOWN
        };
        let (a, b) = (f64::from(self.seen), f64::from(other.seen));
        let apart = other.mean(other.confidence) - self.mean(self.confidence);
        Self {
            confidence: self.confidence + other.confidence,
            max_confidence: self.max_confidence + other.max_confidence,
            entropy: self.entropy + other.entropy,
            loss: self.loss + other.loss,
            margin: self.margin + other.margin,
            el2n: self.el2n + other.el2n,
            spread: self.spread + other.spread + apart * apart * (a * b / (a + b)), // Chan et al. 1979
            seen: self.seen.saturating_add(other.seen),
            right: self.right.saturating_add(other.right),
            forgotten,
            learned: self.learned.min(other.learned),
            first: if other.first.epoch() < self.first.epoch() { other.first } else { self.first },
            last: if other.last.epoch() > self.last.epoch() { other.last } else { self.last },
        }
    }

    /// Forgetting events of `earlier` followed by `later`.
    fn joined(earlier: &Self, later: &Self) -> u32 {
        if earlier.forgotten == UNKNOWN || later.forgotten == UNKNOWN {
            return UNKNOWN;
        }
        let between = earlier.last.correct() && !later.first.correct();
        earlier.forgotten.saturating_add(later.forgotten).saturating_add(u32::from(between))
    }

    /// The same record, its epochs counted from `epoch` on.
    pub fn shifted(&self, epoch: u32) -> Self {
        Self {
            learned: if self.learned == NEVER { NEVER } else { self.learned + epoch },
            first: Sight::new(self.first.epoch() + epoch, self.first.correct()),
            last: Sight::new(self.last.epoch() + epoch, self.last.correct()),
            ..*self
        }
    }

    /// Whether `one` is a single sight, in the epoch that this record ends with.
    pub fn ends_with(&self, one: &Self) -> bool {
        one.seen == 1 && self.seen > 0 && self.last.epoch() == one.last.epoch()
    }

    /// In the order of [`NAMES`].
    pub fn scores(&self) -> [f64; NAMES.len()] {
        if self.seen == 0 {
            return [f64::NAN; NAMES.len()];
        }
        let never = self.learned == NEVER;
        let forgotten = match self.forgotten {
            _ if never => f64::INFINITY,
            UNKNOWN => f64::NAN,
            count => f64::from(count),
        };
        [
            self.mean(self.confidence),
            self.mean(self.max_confidence),
            self.mean(self.entropy),
            self.mean(f64::from(self.right)),
            self.mean(self.loss),
            self.mean(self.margin),
            self.mean(self.el2n),
            self.mean(self.spread).sqrt(),
            forgotten,
            if never { f64::INFINITY } else { f64::from(self.learned) },
        ]
    }
}
