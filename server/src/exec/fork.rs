//! The one place that forks and executes.
//!
//! Between `fork` and `execve` the child of a process with several threads may call only
//! async-signal-safe functions (POSIX.1-2017, fork); the child of a process with one thread may
//! call anything. So forking asks for a [`SingleThreaded`], which exists only in processes that
//! were found to have one thread.
#![expect(
    unsafe_code,
    reason = "fork(2) and signal dispositions have no safe interface"
)]

use std::convert::Infallible;
use std::ffi::CString;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::{fs, io};

use nix::errno::Errno;
use nix::sched::{CloneFlags, clone};
use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};
use nix::unistd::{ForkResult, Pid, fork};

/// Proof that this process has one thread.
#[derive(Debug)]
pub(super) struct SingleThreaded(());

impl SingleThreaded {
    /// Looks at the process's threads and refuses more than one.
    pub(super) fn check() -> io::Result<SingleThreaded> {
        match fs::read_dir("/proc/self/task")?.count() {
            1 => Ok(SingleThreaded(())),
            n => Err(io::Error::other(format!(
                "cannot fork safely: the process has {n} threads"
            ))),
        }
    }

    /// Forks; the child runs `work` and exits with its code, whatever happens in it.
    pub(super) fn fork(&self, work: impl FnOnce(&SingleThreaded) -> i32) -> nix::Result<Pid> {
        // SAFETY: the process has one thread (`self`), so no lock is held by a thread that the
        // child lacks.
        match unsafe { fork() }? {
            ForkResult::Parent { child } => Ok(child),
            ForkResult::Child => {
                let code = catch_unwind(AssertUnwindSafe(|| work(self)));
                // SAFETY: `_exit` only ends the process; exit handlers and buffers are the
                // parent's business.
                unsafe { nix::libc::_exit(code.unwrap_or(101)) }
            }
        }
    }

    /// Runs `work`, which is to become another program, in a child that shares this process's
    /// memory; goes on when the child has done so or has ended. What `work` stores is there then.
    ///
    /// This is how `posix_spawn` works too. Copying the page tables of a process that is about to
    /// be replaced, and faulting its pages in again, costs as much as all the rest of a start.
    pub(super) fn become_in_child(&self, mut work: impl FnMut()) -> nix::Result<Pid> {
        // Pages that are never touched are never made.
        let mut stack = vec![0; CHILD_STACK_BYTES];
        let callback = Box::new(|| {
            let _ = catch_unwind(AssertUnwindSafe(&mut work));
            127
        });
        let flags = CloneFlags::CLONE_VM | CloneFlags::CLONE_VFORK;
        // SAFETY: the only thread of this process stands still until the child has let go of the
        // memory, so nothing is used by two at once; the child has a stack of its own, which
        // outlives it; and all signals are blocked, so no handler runs in it.
        unsafe { clone(callback, &mut stack, flags, Some(nix::libc::SIGCHLD)) }
    }
}

/// More than any of the calls between `clone` and `execve` needs.
const CHILD_STACK_BYTES: usize = 256 << 10;

/// Gives every signal its default action, and blocks them all.
///
/// Dispositions are inherited by `fork` and ignored ones by `execve` too: a worker started by
/// `nohup`, and the runtime's ignored SIGPIPE, would otherwise show in every job. Blocked, they let
/// a process wait for SIGCHLD by descriptor and be deaf to what a service manager sends to the
/// whole group.
pub(super) fn reset_and_block_signals() -> nix::Result<()> {
    // The kernel's `struct sigaction`, all zero: default action, no flags. The C library's own call
    // refuses signals 32 and 33, which it keeps for itself, but which a parent may have left
    // ignored like any other.
    let default = [0_u64; 4];
    for number in 1..=64 {
        if matches!(number, nix::libc::SIGKILL | nix::libc::SIGSTOP) {
            continue;
        }
        // SAFETY: the structure is as long as the kernel's on any platform, and the action it names
        // is no handler, so no code of ours can run in signal context. Eight is the size of the
        // kernel's signal set.
        let answer = unsafe {
            let nothing = std::ptr::null_mut::<u64>();
            nix::libc::syscall(
                nix::libc::SYS_rt_sigaction,
                number,
                default.as_ptr(),
                nothing,
                8_usize,
            )
        };
        Errno::result(answer)?;
    }
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), None)
}

/// Unblocks every signal, for the program that is about to run.
pub(super) fn unblock_signals() -> nix::Result<()> {
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)
}

/// Replaces this process by a program; returns only on failure.
pub(super) fn execute(path: &CString, argv: &[CString], env: &[CString]) -> nix::Error {
    let answer: nix::Result<Infallible> = nix::unistd::execve(path, argv, env);
    match answer {
        Ok(never) => match never {},
        Err(error) => error,
    }
}
