//! Alerts from a job's failure to a receiver, with the program as operators run it.

mod faults;
mod kinds;
mod mutants;
mod policies;
pub(crate) mod receiver;
pub(crate) mod scene;
mod sink;
