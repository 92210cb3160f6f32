//! From the spool to the run log, the oldest first, as long as there is something.
//!
//! Several runs at once, each in its order. An entry is taken out once the log has it; in between a crash only
//! makes it be sent again, which changes nothing. What the log refuses for good is taken out as well: it would
//! stop all that waits behind it.

use std::time::Duration;

use futures_util::future::join_all;
use sandclock_backend_embedded::spool::{Entry, OfRun};
use sandclock_core::ErrorKind;
use sandclock_core::backend::{DoneRecord, Fence, OutputChunk, Result, RunHeader};
use sandclock_core::error::WithSources;
use sandclock_core::run::RunId;
use tokio::time::{sleep, timeout};

use super::contact::is_away;
use super::{Fault, Spool};

/// How many runs are served at once, and how many bytes of each.
const RUNS: u32 = 8;
const BYTES: usize = 1 << 20;

/// The pause after a failure, and the longest sleep.
const PAUSE: Duration = Duration::from_secs(1);

/// How long a run log that has a deadline of its own may take: the bound is for one that has none.
const CALL: Duration = Duration::from_secs(60);

/// What is sent with one call.
#[derive(Debug)]
struct Sending {
    numbers: Vec<u64>,
    what: What,
}

#[derive(Debug)]
enum What {
    Begin(RunHeader, Fence),
    End(Box<DoneRecord>),
    Output(u32, Vec<OutputChunk>, Option<(u64, u64)>),
    Unreadable,
}

impl Spool {
    /// Sends what waits, for ever.
    pub async fn forward(&self) {
        // What waits now is from a former life.
        if self.is(Fault::NotReplayed) && self.waiting().entries > 0 {
            return std::future::pending().await;
        }
        loop {
            if self.waiting().entries == 0 {
                if self.contact.is_away() {
                    sleep(PAUSE).await;
                    self.contact.try_again();
                } else {
                    self.contact.has_room();
                }
                self.came.notified().await;
                continue;
            }
            if let Err(error) = self.forward_some().await {
                tracing::debug!(error = %WithSources(&error), "what waits for the run log cannot follow yet");
                sleep(PAUSE).await;
            }
        }
    }

    /// Resolves once nothing waits any more, or the log is away.
    pub async fn settled(&self) {
        loop {
            let went = self.went.notified();
            if self.waiting().entries == 0 || self.contact.is_away() {
                return;
            }
            went.await;
        }
    }

    async fn forward_some(&self) -> Result<()> {
        let oldest = self.with_file("spool.take", |file| file.oldest(RUNS, BYTES));
        let runs = oldest.await?;
        let sent = join_all(runs.into_iter().map(|of_run| self.send_run(of_run))).await;
        let mut numbers = Vec::new();
        let mut failure = Ok(());
        for (sent, outcome) in sent {
            numbers.extend(sent);
            failure = failure.and(outcome);
        }
        if !numbers.is_empty() {
            self.with_file("spool.take", move |file| file.remove(&numbers))
                .await?;
        }
        self.went.notify_waiters();
        failure
    }

    /// Sends entries of a run in order. What the log has, or will never take, and why there is no more.
    async fn send_run(&self, OfRun { run, entries }: OfRun) -> (Vec<u64>, Result<()>) {
        let mut sent = Vec::new();
        for sending in together(entries) {
            let call = timeout(CALL, self.send(&run, &sending.what)).await;
            match self.contact.heed(call) {
                Err(error) if is_away(&error) => return (sent, Err(error)),
                // The run is over, or another worker has it: the log knows more than this beginning says.
                Err(error) if error.kind == ErrorKind::Fenced => {}
                Err(error) => {
                    let error = WithSources(&error);
                    tracing::error!(%run, %error, "the run log refuses what waited for it; it is not stored");
                }
                Ok(()) => {}
            }
            sent.extend(sending.numbers);
        }
        (sent, Ok(()))
    }

    async fn send(&self, run: &RunId, what: &What) -> Result<()> {
        match what {
            What::Output(attempt, chunks, cut) => {
                self.log.append(run, *attempt, chunks, *cut).await
            }
            What::Begin(header, fence) => self.log.begin(header, *fence).await,
            What::End(done) => self.log.finish(done).await,
            What::Unreadable => {
                tracing::error!(%run, "a damaged entry of the spool is not stored");
                Ok(())
            }
        }
    }
}

/// What follows each other of one attempt's output goes with one call, up to a cut.
fn together(entries: Vec<(u64, Option<Entry>)>) -> Vec<Sending> {
    let mut all: Vec<Sending> = Vec::new();
    for (number, entry) in entries {
        let what = match entry {
            None => What::Unreadable,
            Some(Entry::Begin(header, fence)) => What::Begin(header, fence),
            Some(Entry::End(done)) => What::End(done),
            Some(Entry::Chunk(attempt, chunk)) => What::Output(attempt, vec![chunk], None),
            Some(Entry::Cut(attempt, cut)) => What::Output(attempt, Vec::new(), Some(cut)),
        };
        match (all.last_mut(), what) {
            (
                Some(Sending {
                    numbers,
                    what: What::Output(of, chunks, cut @ None),
                }),
                What::Output(attempt, more, then_cut),
            ) if *of == attempt => {
                chunks.extend(more);
                *cut = then_cut;
                numbers.push(number);
            }
            (_, what) => all.push(Sending {
                numbers: vec![number],
                what,
            }),
        }
    }
    all
}
