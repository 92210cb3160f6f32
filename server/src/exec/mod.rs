//! Running commands: the processes of a run, and the way of their output.
//!
//! ```text
//!  worker ──(descriptors)──► spawner ──fork──► supervisor ──fork, exec──► command ──► whatever it starts
//!    │  ▲                                         │  ▲
//!    │  └───────────── control socket ────────────┘  │ subreaper: nothing below it can get away
//!    └──── pipe ◄─────────────────────────────────── standard output and standard error
//! ```
//! The spawner ([`spawner`]) is this program started once under another name, one thread and
//! nothing in it. It forks a supervisor for each run that finds none free. The supervisor starts
//! the command ([`launch`]), and ends the whole tree ([`tree`]) on an order, at its deadline, or
//! when the worker is gone. So no run outlives the contact to its worker, even if the worker is
//! stopped or killed (L2, and the executor's share of S5). Making processes is the price of a run,
//! so a supervisor whose run left nothing is used again ([`mod@line`]).
//!
//! [`link`], [`mod@line`], [`mod@start`] and [`child`] are the worker's side, on tokio. [`job`] is the executor that the
//! scheduler calls: it makes a command of a job ([`surroundings`]) and carries its output
//! ([`output`]) from the pipe ([`intake`]) through redaction into bounded space ([`window`]) and
//! the run log, which is also where a live run is followed ([`transcript`]).

mod cgroup;
mod child;
mod desk;
mod fork;
mod frames;
mod intake;
mod job;
mod keep;
mod launch;
mod line;
mod link;
mod mutant;
pub mod open_files;
mod orphans;
mod output;
mod passing;
mod reap;
mod roster;
mod spawner;
mod spec;
mod start;
mod supervisor;
mod surroundings;
mod timer;
mod transcript;
mod tree;
mod window;
mod wire;

pub use cgroup::usable as group_for_runs;
pub use child::{Child, Control, TreeEnd};
pub use job::JobExecutor;
pub use link::{Processes, Spawner};
#[cfg(debug_assertions)]
pub use mutant::Mutant;
pub use orphans::end_unsupervised;
pub use spawner::{SPAWNER_NAME, is_spawner, main as spawner_main};
pub use spec::{CommandSpec, SpawnError};
pub use surroundings::{SecretError, Surroundings};
pub use transcript::{Part, Transcript, cut_marker};
pub use wire::{EndedBy, Exit, Limits, StartStep, Usage};
