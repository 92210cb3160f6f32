//! The worker as a whole, on the reference model.

use super::*;

fn is_send<T: Send>(_: &T) {}

/// A server runs the worker on a runtime with several threads.
#[expect(dead_code, reason = "it only has to compile")]
fn a_worker_may_move_between_threads(worker: Worker) {
    is_send(&worker.run(async {}));
}
