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
use std::os::fd::{AsRawFd, BorrowedFd};
use std::{fs, io};

use nix::errno::Errno;
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
        self.fork_into(None, work)
    }

    /// Like [`Self::fork`], with the child born in a control group, given by its open directory.
    /// Where the kernel cannot do that, the child is born where this process is.
    pub(super) fn fork_into(
        &self,
        group: Option<BorrowedFd<'_>>,
        work: impl FnOnce(&SingleThreaded) -> i32,
    ) -> nix::Result<Pid> {
        if let Some(child) = group.and_then(|group| self.clone_into(group).ok()) {
            return self.be(child, work);
        }
        // SAFETY: the process has one thread (`self`), so no lock is held by a thread that the
        // child lacks.
        let child = match unsafe { fork() }? {
            ForkResult::Parent { child } => child.as_raw(),
            ForkResult::Child => 0,
        };
        self.be(child, work)
    }

    /// `clone3` with nothing shared is `fork`; moving a process into its group afterwards would
    /// wait for a grace period of the whole kernel. Returns 0 in the child.
    fn clone_into(&self, group: BorrowedFd<'_>) -> nix::Result<i32> {
        const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
        // SAFETY: all fields are integers.
        let mut args: nix::libc::clone_args = unsafe { std::mem::zeroed() };
        args.flags = CLONE_INTO_CGROUP;
        args.exit_signal = nix::libc::SIGCHLD.unsigned_abs().into();
        args.cgroup = u64::from(group.as_raw_fd().unsigned_abs());
        // SAFETY: the structure and its size belong together, no memory is shared with the child,
        // and the process has one thread, as for `fork`.
        let answer = unsafe {
            let size = size_of::<nix::libc::clone_args>();
            nix::libc::syscall(nix::libc::SYS_clone3, &raw mut args, size)
        };
        Errno::result(answer).map(|pid| i32::try_from(pid).unwrap_or(-1))
    }

    /// Goes on as the parent or, for 0, as the child.
    fn be(&self, child: i32, work: impl FnOnce(&SingleThreaded) -> i32) -> nix::Result<Pid> {
        if child != 0 {
            return Ok(Pid::from_raw(child));
        }
        let code = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(self)));
        // SAFETY: `_exit` only ends the process; exit handlers and buffers are the parent's
        // business.
        unsafe { nix::libc::_exit(code.unwrap_or(101)) }
    }
}

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
