//! A case without a plot: random steps, taken by the backend and by the reference model side by side.
//!
//! After every step both must have answered the same and hold the same, but for what each counts in its own
//! way: versions, fences and session ids. A failure tells the steps that led to it.

use sandclock_core::backend::memory::MemoryStore;

use super::CoordinationEnv;
use super::plain::plain_view;
use super::scene::view;
use super::walker::Side;
use crate::memory::coordination;

const STEPS: usize = 500;
const SEED: u64 = 10;

/// Chosen numbers, the same for both sides of a step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dice(u64);

impl Dice {
    /// A number below `n` (SplitMix64).
    pub(super) fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) >> 33).expect("31 bits") % n
    }

    pub(super) fn once_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub(super) fn pick<T: Clone>(&mut self, of: &[T]) -> Option<T> {
        let index = self.below(of.len().max(1));
        of.get(index).cloned()
    }
}

/// What a walk must have met to be worth anything.
const MET: [&str; 18] = [
    ": held None",
    ": held Some",
    "[Waits]",
    "[Stale]",
    "[Recorded(Skipped)]",
    "[Recorded(Missed)]",
    "SessionLost",
    ": held open",
    ": Busy",
    ": Stale",
    ": stale",
    ": Mark",
    ": Waiting",
    ": Fenced",
    ": done",
    ": Run",
    ": NoJob",
    ": 1",
];

/// Every random step gets the model's answer and leaves what the model holds.
pub async fn random_steps_match_the_model(env: &CoordinationEnv) {
    let mut ours = Side::new(env.clone()).await;
    let mut model = Side::new(coordination(&MemoryStore::new())).await;
    let mut dice = Dice(SEED);
    let mut told = Vec::new();
    for number in 1..=STEPS {
        let mut same_dice = dice;
        let want = model.step(&mut dice, number).await;
        let got = ours.step(&mut same_dice, number).await;
        told.push(format!("{number} {want}"));
        let story = || told.join("\n");
        assert_eq!(got, want, "seed {SEED}\n{}", story());
        let (holds, should) = (view(&ours.env).await, view(&model.env).await);
        assert_eq!(
            plain_view(&holds),
            plain_view(&should),
            "seed {SEED}\n{}",
            story()
        );
    }
    for answer in MET {
        let met = told.iter().any(|told| told.contains(answer));
        assert!(met, "no step was answered {answer:?}\n{}", told.join("\n"));
    }
}
