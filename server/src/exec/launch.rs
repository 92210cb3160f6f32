//! From a request to a running program: everything between the supervisor's fork and `execve`.
//!
//! What can fail is done in the child, in the order in which each step still has the rights and the
//! view that it needs: session, descriptors, limits (raising one needs root), umask, user, working
//! directory (as that user), program. A failed step is left in memory, which
//! child and supervisor share until then.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{
    AccessFlags, Gid, Pid, User, access, chdir, dup2_stderr, dup2_stdin, dup2_stdout, getgrouplist,
    setgid, setgroups, setsid, setuid,
};

use super::cgroup::Group;
use super::fork::{SingleThreaded, execute, unblock_signals};
use super::wire::{Limits, Request, StartStep};

/// Why a command does not run: which step failed, on what, and how.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) step: StartStep,
    pub(super) subject: String,
    pub(super) errno: i32,
}

/// Tags an error with the step and what it was about.
fn failed(step: StartStep, subject: &str) -> impl Fn(Errno) -> Failure {
    move |errno| Failure {
        step,
        subject: subject.to_owned(),
        errno: errno as i32,
    }
}

/// Starts the command of `request` with the given write ends of its pipes (one, or two if split).
///
/// Returns when the program runs: its process has its own session, and no descriptor but the
/// standard three.
pub(super) fn launch(
    request: &Request,
    pipes: &[OwnedFd],
    group: Option<&Group>,
    single: &SingleThreaded,
) -> Result<Pid, Failure> {
    let plan = Plan::make(request)?;
    let mut failure = None;
    let child = single.become_in_child(|| {
        // Where a group cannot be joined, the supervisor does without it.
        let _ = group.map(Group::join);
        let Err(reason) = plan.become_program(request, pipes);
        failure = Some(reason);
    });
    let child = child.map_err(failed(StartStep::Process, ""))?;
    match failure {
        Some(failure) => Err(failure),
        None => Ok(child),
    }
}

/// What is looked up and allocated before the fork.
struct Plan {
    program: CString,
    argv: Vec<CString>,
    env: Vec<CString>,
    user: Option<(User, Vec<Gid>)>,
    home: String,
    null: File,
}

/// There is nothing to return from becoming another program.
enum Never {}

impl Plan {
    fn make(request: &Request) -> Result<Plan, Failure> {
        let name = request.argv.first().map_or("", String::as_str);
        let invalid = |_| failed(StartStep::Exec, name)(Errno::EINVAL);
        let argv: Vec<CString> = request
            .argv
            .iter()
            .map(|a| CString::new(a.as_str()))
            .collect::<Result<_, _>>()
            .map_err(invalid)?;
        let user = request.user.as_deref().map(find_user).transpose()?;
        let own = request
            .env
            .iter()
            .map(|(key, value)| (key.as_str(), value.clone()));
        let env: BTreeMap<&str, String> = user
            .iter()
            .flat_map(|(user, _)| login_variables(user))
            .chain(own)
            .collect();
        let home = env.get("HOME").cloned().unwrap_or_default();
        let env = env
            .into_iter()
            .map(|(key, value)| CString::new(format!("{key}={value}")));
        let env = env.collect::<Result<_, _>>().map_err(invalid)?;
        let program = look_up(name, request)?;
        let null = File::options().read(true).open("/dev/null");
        let null = null.map_err(|e| {
            failed(StartStep::Process, "/dev/null")(Errno::from_raw(
                e.raw_os_error().unwrap_or_default(),
            ))
        })?;
        Ok(Plan {
            program: CString::new(program).map_err(invalid)?,
            argv,
            env,
            user,
            home,
            null,
        })
    }

    fn become_program(&self, request: &Request, pipes: &[OwnedFd]) -> Result<Never, Failure> {
        let process = |errno| failed(StartStep::Process, "")(errno);
        setsid().map_err(process)?;
        dup2_stdin(&self.null).map_err(process)?;
        let out = pipes.first().ok_or_else(|| process(Errno::EBADF))?;
        dup2_stdout(out).map_err(process)?;
        dup2_stderr(pipes.get(1).unwrap_or(out)).map_err(process)?;
        set_limits(&request.limits, request.soft_open_files)?;
        umask(Mode::from_bits_truncate(request.umask));
        if let Some((user, groups)) = &self.user {
            assume(user, groups)?;
        }
        match &request.workdir {
            Some(dir) => chdir(Path::new(dir)).map_err(failed(StartStep::Workdir, dir))?,
            // A service user's home often does not exist, and need not.
            None => chdir(Path::new(&self.home))
                .or_else(|_| chdir("/"))
                .map_err(process)?,
        }
        unblock_signals().map_err(process)?;
        let errno = execute(&self.program, &self.argv, &self.env);
        Err(failed(StartStep::Exec, &self.program.to_string_lossy())(
            errno,
        ))
    }
}

/// A program named without a slash is searched in the `PATH` of the command's own environment.
fn look_up(name: &str, request: &Request) -> Result<String, Failure> {
    if name.contains('/') {
        return Ok(name.to_owned());
    }
    let path = request
        .env
        .iter()
        .rev()
        .find(|(key, _)| key == "PATH")
        .map_or("", |(_, value)| value);
    let directories = path
        .split(':')
        .filter(|directory| !directory.is_empty() && !name.is_empty());
    let mut candidates = directories.map(|directory| format!("{directory}/{name}"));
    let runnable = |path: &String| {
        access(path.as_str(), AccessFlags::X_OK).is_ok()
            && fs::metadata(path).is_ok_and(|m| m.is_file())
    };
    candidates
        .find(runnable)
        .ok_or_else(|| failed(StartStep::Lookup, name)(Errno::ENOENT))
}

/// What login(1) would set.
fn login_variables<'a>(user: &User) -> [(&'a str, String); 4] {
    [
        ("HOME", user.dir.to_string_lossy().into_owned()),
        ("USER", user.name.clone()),
        ("LOGNAME", user.name.clone()),
        ("SHELL", user.shell.to_string_lossy().into_owned()),
    ]
}

/// The user, and all groups that it belongs to.
fn find_user(name: &str) -> Result<(User, Vec<Gid>), Failure> {
    let nobody = failed(StartStep::NoUser, name);
    let failed = failed(StartStep::User, name);
    let found = User::from_name(name).map_err(&failed)?;
    let user = found.ok_or_else(|| nobody(Errno::ENOENT))?;
    let raw = CString::new(name).map_err(|_| failed(Errno::EINVAL))?;
    let groups = getgrouplist(&raw, user.gid).map_err(&failed)?;
    Ok((user, groups))
}

/// Groups go before the user, who may no longer change them.
fn assume(user: &User, groups: &[Gid]) -> Result<(), Failure> {
    if user.uid == nix::unistd::geteuid() && !user.uid.is_root() {
        return Ok(());
    }
    let failed = failed(StartStep::User, &user.name);
    setgroups(groups).map_err(&failed)?;
    setgid(user.gid).map_err(&failed)?;
    setuid(user.uid).map_err(&failed)
}

/// Sets soft and hard limit alike, so that the command cannot raise it again; but a second more for
/// the hard limit of processor time, at which SIGKILL comes, so that SIGXCPU comes first.
///
/// Open files are different where the job sets no limit of them: the worker has raised its own soft
/// limit, and takes that back here.
fn set_limits(limits: &Limits, soft_open_files: Option<u64>) -> Result<(), Failure> {
    if let Some(soft) = soft_open_files {
        let failed = failed(StartStep::Limit, "open_files");
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).map_err(&failed)?;
        setrlimit(Resource::RLIMIT_NOFILE, soft.min(hard), hard).map_err(&failed)?;
    }
    let table = [
        ("memory", Resource::RLIMIT_AS, limits.memory_bytes),
        ("cpu", Resource::RLIMIT_CPU, limits.cpu_s),
        ("open_files", Resource::RLIMIT_NOFILE, limits.open_files),
    ];
    for (name, resource, limit) in table {
        let Some(limit) = limit else { continue };
        let failed = failed(StartStep::Limit, name);
        // A worker that is not root cannot raise a hard limit; what it may have at most is not an
        // error.
        let (_, hard) = getrlimit(resource).map_err(&failed)?;
        let limit = if nix::unistd::geteuid().is_root() {
            limit
        } else {
            limit.min(hard)
        };
        let hard = if resource == Resource::RLIMIT_CPU {
            hard.min(limit.saturating_add(1))
        } else {
            limit
        };
        setrlimit(resource, limit, hard).map_err(&failed)?;
    }
    Ok(())
}
