//! The disk as SQLite sees it: this program's own `fdatasync`, `fsync`, `write` and `pwrite`.
//!
//! The linker takes these definitions before the C library's, so that every call of the statically
//! linked SQLite passes here and goes on to the kernel. A test watches a folder: it counts the syncs of
//! files in it, holds them at a gate, or lets writes and syncs fail. So durability is seen from outside
//! SQLite, whatever its settings claim.

#![expect(
    unsafe_code,
    reason = "stands in for the C library's calls that reach the disk"
)]

use std::os::fd::RawFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use nix::libc::{self, c_int, c_long, c_void, off64_t, size_t, ssize_t};

static WATCHES: Mutex<Vec<Arc<Watch>>> = Mutex::new(Vec::new());

/// How many watches let writes fail: without any, `write` need not ask where it goes.
static FAILING: AtomicUsize = AtomicUsize::new(0);

/// A watched folder; the watch ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Disk(Arc<Watch>);

#[derive(Debug)]
struct Watch {
    folder: PathBuf,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    syncs: u64,
    held: u64,
    gate_closed: bool,
    write_error: Option<c_int>,
    /// Where every file of the folder ends at the latest.
    room: Option<i64>,
    sync_error: Option<c_int>,
}

impl Watch {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.changed.notify_all();
    }
}

fn watches() -> MutexGuard<'static, Vec<Arc<Watch>>> {
    WATCHES.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Disk {
    pub(crate) fn watch(folder: &Path) -> Self {
        let watch = Arc::new(Watch {
            folder: folder.to_owned(),
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        watches().push(Arc::clone(&watch));
        Self(watch)
    }

    /// Syncs so far, held ones included.
    pub(crate) fn syncs(&self) -> u64 {
        self.0.state().syncs
    }

    /// Holds every sync from now on, before it reaches the kernel.
    pub(crate) fn close_gate(&self) {
        self.0.set(|state| state.gate_closed = true);
    }

    /// Lets all held syncs go on.
    pub(crate) fn open_gate(&self) {
        self.0.set(|state| state.gate_closed = false);
    }

    /// Blocks until a sync is held at the gate, or the gate is opened.
    pub(crate) fn wait_for_held_sync(&self) {
        let mut state = self.0.state();
        while state.held == 0 && state.gate_closed {
            state = (self.0.changed.wait(state)).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Lets writes fail with this error, or no longer.
    pub(crate) fn fail_writes(&self, error: Option<c_int>) {
        let before = std::mem::replace(&mut self.0.state().write_error, error);
        match (before, error) {
            (None, Some(_)) => FAILING.fetch_add(1, Ordering::SeqCst),
            (Some(_), None) => FAILING.fetch_sub(1, Ordering::SeqCst),
            _ => 0,
        };
    }

    /// Lets writes fail that would make a file longer than this, as on a disk without more room.
    pub(crate) fn limit_files(&self, bytes: i64) {
        self.0.state().room = Some(bytes);
        FAILING.fetch_add(1, Ordering::SeqCst);
    }

    /// Lets syncs fail with this error, or no longer.
    pub(crate) fn fail_syncs(&self, error: Option<c_int>) {
        self.0.set(|state| state.sync_error = error);
    }

    /// A handle for another thread.
    pub(crate) fn handle(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // The list has one, this another; handles of other threads come and go.
        if Arc::strong_count(&self.0) == 2 {
            self.fail_writes(None);
            if self.0.state().room.take().is_some() {
                FAILING.fetch_sub(1, Ordering::SeqCst);
            }
            self.open_gate();
            watches().retain(|watch| !Arc::ptr_eq(watch, &self.0));
        }
    }
}

/// The watch of the folder that the file is in.
fn watch_of(fd: RawFd) -> Option<Arc<Watch>> {
    let path = std::fs::read_link(format!("/proc/self/fd/{fd}")).ok()?;
    watches()
        .iter()
        .find(|watch| path.starts_with(&watch.folder))
        .cloned()
}

fn fail(error: c_int) -> c_int {
    // SAFETY: the C library's own place for this thread's error number.
    unsafe { *libc::__errno_location() = error };
    -1
}

fn sync(fd: c_int, call: c_long) -> c_int {
    if let Some(watch) = watch_of(fd) {
        let mut state = watch.state();
        state.syncs += 1;
        state.held += 1;
        watch.changed.notify_all();
        while state.gate_closed {
            state = (watch.changed.wait(state)).unwrap_or_else(PoisonError::into_inner);
        }
        state.held -= 1;
        if let Some(error) = state.sync_error {
            return fail(error);
        }
    }
    // SAFETY: the call takes a descriptor and nothing else.
    let outcome = unsafe { libc::syscall(call, fd) };
    c_int::try_from(outcome).unwrap_or(-1)
}

/// Takes the place of the C library's.
// SAFETY: the same signature and meaning as the C library's.
#[unsafe(no_mangle)]
extern "C" fn fdatasync(fd: c_int) -> c_int {
    sync(fd, libc::SYS_fdatasync)
}

/// Takes the place of the C library's.
// SAFETY: the same signature and meaning as the C library's.
#[unsafe(no_mangle)]
extern "C" fn fsync(fd: c_int) -> c_int {
    sync(fd, libc::SYS_fsync)
}

/// The answer to a write that is to fail. `end` is where it would end in the file, if known.
fn failure_of_write(fd: c_int, end: Option<i64>) -> Option<ssize_t> {
    if FAILING.load(Ordering::SeqCst) == 0 {
        return None;
    }
    let watch = watch_of(fd)?;
    let state = watch.state();
    let too_long = state.room.zip(end).is_some_and(|(room, end)| end > room);
    let error = state
        .write_error
        .or_else(|| too_long.then_some(libc::ENOSPC))?;
    ssize_t::try_from(fail(error)).ok()
}

/// Takes the place of the C library's.
// SAFETY: the same signature and meaning as the C library's.
#[unsafe(no_mangle)]
unsafe extern "C" fn write(fd: c_int, bytes: *const c_void, count: size_t) -> ssize_t {
    if let Some(failure) = failure_of_write(fd, None) {
        return failure;
    }
    // SAFETY: passes on what the caller vouches for.
    let written = unsafe { libc::syscall(libc::SYS_write, fd, bytes, count) };
    ssize_t::try_from(written).unwrap_or(-1)
}

/// Takes the place of the C library's.
// SAFETY: the same signature and meaning as the C library's.
#[unsafe(no_mangle)]
unsafe extern "C" fn pwrite64(
    fd: c_int,
    bytes: *const c_void,
    count: size_t,
    offset: off64_t,
) -> ssize_t {
    let end = i64::try_from(count)
        .unwrap_or(i64::MAX)
        .saturating_add(offset);
    if let Some(failure) = failure_of_write(fd, Some(end)) {
        return failure;
    }
    // SAFETY: passes on what the caller vouches for.
    let written = unsafe { libc::syscall(libc::SYS_pwrite64, fd, bytes, count, offset) };
    ssize_t::try_from(written).unwrap_or(-1)
}

/// Takes the place of the C library's, which is the same call on 64-bit machines.
// SAFETY: the same signature and meaning as the C library's.
#[unsafe(no_mangle)]
unsafe extern "C" fn pwrite(
    fd: c_int,
    bytes: *const c_void,
    count: size_t,
    offset: off64_t,
) -> ssize_t {
    // SAFETY: passes on what the caller vouches for.
    unsafe { pwrite64(fd, bytes, count, offset) }
}
