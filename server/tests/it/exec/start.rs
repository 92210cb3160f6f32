//! How a command starts: its surroundings, and why it does not.

use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use sandclock_core::error::WithSources;
use sandclock_core::ports::Channel;
use sandclock_server::exec::{CommandSpec, EndedBy, Exit, StartStep};

use super::{PATIENCE, argv, finish, mark, marked, processes, shell, wait_until};

/// What a command prints that ends by itself with code 0.
async fn printed(spec: CommandSpec) -> String {
    let (texts, end) = finish(processes().start(&spec).await.unwrap()).await;
    assert_eq!(
        (end.exit, end.by),
        (Exit::Code(0), EndedBy::Command),
        "{texts:?}"
    );
    texts.concat()
}

#[tokio::test]
async fn both_streams_share_one_pipe_in_order() {
    let text = printed(shell(
        "for i in 1 2 3; do echo out $i; echo err $i >&2; done",
    ))
    .await;
    assert_eq!(text, "out 1\nerr 1\nout 2\nerr 2\nout 3\nerr 3\n");
}

#[tokio::test]
async fn split_output_has_a_pipe_for_each_stream() {
    let spec = CommandSpec {
        split: true,
        ..shell("echo out; echo err >&2")
    };
    let child = processes().start(&spec).await.unwrap();
    let channels: Vec<Channel> = child.outputs.iter().map(|(channel, _)| *channel).collect();
    assert_eq!(channels, [Channel::Stdout, Channel::Stderr]);
    assert_eq!(finish(child).await.0, ["out\n", "err\n"]);
}

#[tokio::test]
async fn the_end_of_the_command_is_told_as_it_was() {
    let processes = processes();
    for (text, exit) in [
        ("exit 0", Exit::Code(0)),
        ("exit 77", Exit::Code(77)),
        (
            "kill -KILL $$",
            Exit::Signal {
                signal: 9,
                core_dumped: false,
            },
        ),
        (
            // A real-time signal, which has no name.
            "kill -40 $$",
            Exit::Signal {
                signal: 40,
                core_dumped: false,
            },
        ),
        ("no-such-command-of-any-kind 2>/dev/null", Exit::Code(127)),
    ] {
        let (_, end) = finish(processes.start(&shell(text)).await.unwrap()).await;
        assert_eq!(end.exit, exit, "{text}");
    }
}

#[tokio::test]
async fn descriptors_signals_and_session_are_the_commands_own() {
    let look = "ls -l /proc/self/fd | grep -c socket: ; readlink /proc/self/fd/0; \
                grep -E 'SigBlk|SigIgn' /proc/self/status; ps -o pid=,pgid=,sid= -p $$ | tr -s ' '; echo $$";
    let text = printed(CommandSpec {
        grace: Duration::ZERO,
        ..shell(look)
    })
    .await;
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let [sockets, stdin, blocked, ignored, ids, pid] = lines[..] else {
        panic!("{text}")
    };
    assert_eq!((sockets, stdin), ("0", "/dev/null"));
    assert_eq!(blocked, "SigBlk:\t0000000000000000");
    assert_eq!(ignored, "SigIgn:\t0000000000000000");
    assert_eq!(ids, format!("{pid} {pid} {pid}"));
}

#[tokio::test]
async fn environment_workdir_umask_and_limits_are_as_asked() {
    let mut spec = shell("pwd; umask; ulimit -n; ulimit -t; env | sort");
    spec.env = vec![
        ("B".to_owned(), "2".to_owned()),
        ("A".to_owned(), "1 =x".to_owned()),
    ];
    spec.workdir = Some("/usr".to_owned());
    spec.umask = 0o077;
    spec.limits.open_files = Some(77);
    spec.limits.cpu_s = Some(99);
    let text = printed(spec).await;
    let expected = ["/usr", "0077", "77", "99", "A=1 =x", "B=2"];
    let lines: Vec<&str> = text
        .lines()
        .filter(|l| !["PWD=", "SHLVL=", "_="].iter().any(|p| l.starts_with(p)))
        .collect();
    assert_eq!(lines, expected);
}

#[tokio::test]
async fn a_cpu_limit_ends_a_spinning_command() {
    let mut spec = shell("while :; do :; done");
    spec.limits.cpu_s = Some(1);
    let (_, end) = finish(processes().start(&spec).await.unwrap()).await;
    assert_eq!(end.by, EndedBy::Command);
    assert!(
        matches!(
            end.exit,
            Exit::Signal {
                signal: nix::libc::SIGXCPU,
                ..
            }
        ),
        "{end:?}"
    );
    assert!(end.usage.user_ms > 0, "{end:?}");
}

#[tokio::test]
async fn another_user_is_assumed_with_groups_and_home() {
    // Only root can; anybody else must be told so.
    let mut spec = shell("id -un; id -u; id -g; echo $HOME $USER $LOGNAME");
    spec.user = Some("nobody".to_owned());
    let started = processes().start(&spec).await;
    if std::fs::metadata("/proc/self").unwrap().uid() != 0 {
        assert_eq!(started.unwrap_err().step, StartStep::User);
        return;
    }
    let text = finish(started.unwrap()).await.0.concat();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!((lines[0], lines[1]), ("nobody", "65534"), "{text}");
    assert!(lines[3].ends_with("nobody nobody"), "{text}");
}

#[tokio::test]
async fn a_start_that_fails_says_what_failed_and_how() {
    let processes = processes();
    let long = "x".repeat(200_000);
    let argv_of = |parts: &[&str]| argv(parts);
    let cases: Vec<(CommandSpec, StartStep, &str, i32)> = vec![
        (
            argv_of(&["/no/shell", "-c", "true"]),
            StartStep::Exec,
            "/no/shell",
            nix::libc::ENOENT,
        ),
        (
            argv_of(&["/etc/passwd"]),
            StartStep::Exec,
            "/etc/passwd",
            nix::libc::EACCES,
        ),
        (
            argv_of(&["no-such-program"]),
            StartStep::Lookup,
            "no-such-program",
            nix::libc::ENOENT,
        ),
        (argv_of(&[]), StartStep::Lookup, "", nix::libc::ENOENT),
        (
            argv_of(&["/bin/echo", &long]),
            StartStep::Exec,
            "/bin/echo",
            nix::libc::E2BIG,
        ),
        (
            CommandSpec {
                workdir: Some("/nowhere".to_owned()),
                ..shell("true")
            },
            StartStep::Workdir,
            "/nowhere",
            nix::libc::ENOENT,
        ),
        (
            CommandSpec {
                user: Some("no-such-user".to_owned()),
                ..shell("true")
            },
            StartStep::NoUser,
            "no-such-user",
            nix::libc::ENOENT,
        ),
    ];
    for (spec, step, subject, errno) in cases {
        let error = processes.start(&spec).await.unwrap_err();
        assert_eq!((error.step, &error.subject[..]), (step, subject), "{error}");
        assert_eq!(error.source.raw_os_error(), Some(errno), "{error}");
    }
}

/// Half of it would be gone, and nobody would know.
#[tokio::test]
async fn a_string_with_a_nul_byte_is_named() {
    let env = CommandSpec {
        env: vec![("A".to_owned(), "b\0c".to_owned())],
        ..shell("true")
    };
    let workdir = CommandSpec {
        workdir: Some("/tmp\0/x".to_owned()),
        ..shell("true")
    };
    // A word of the command is told of as the kernel would refuse it, which is how Go says it.
    let word = argv(&["/bin/echo", "nul\0"]);
    let cases = [
        (
            word,
            StartStep::Exec,
            "/bin/echo",
            "argv[1] holds a NUL byte",
        ),
        (env, StartStep::Nul, "env A", "env A holds a NUL byte"),
        (
            workdir,
            StartStep::Nul,
            "workdir",
            "workdir holds a NUL byte",
        ),
    ];
    for (spec, step, subject, said) in cases {
        let error = processes().start(&spec).await.unwrap_err();
        assert_eq!((error.step, &error.subject[..]), (step, subject), "{error}");
        let whole = WithSources(&error).to_string();
        assert!(whole.contains(said), "{whole}");
    }
}

#[tokio::test]
async fn programs_are_found_in_the_commands_own_path() {
    let mut spec = argv(&["echo", "found"]);
    spec.env = vec![("PATH".to_owned(), "/nowhere::/bin:/usr/bin".to_owned())];
    assert_eq!(printed(spec).await, "found\n");
}

#[tokio::test]
async fn a_command_of_a_hundred_kilobytes_runs() {
    let text = format!("{}; echo ran", "true;".repeat(20_000).trim_end_matches(';'));
    assert_eq!(printed(shell(&text)).await, "ran\n");
}

#[tokio::test]
async fn giving_up_a_start_leaves_nothing() {
    let processes = processes();
    let mark = mark();
    let spec = marked(shell("sleep 1000"), &mark);
    for _ in 0..20 {
        let _ = tokio::time::timeout(Duration::from_micros(500), processes.start(&spec)).await;
    }
    super::gone_within(PATIENCE, &mark).await;
}

#[tokio::test]
async fn many_runs_at_once_do_not_mix() {
    let processes = processes();
    let runs = (0..50).map(|i| {
        let processes = processes.clone();
        async move {
            let (texts, end) = finish(
                processes
                    .start(&shell(&format!("echo {i}; exit {i}")))
                    .await
                    .unwrap(),
            )
            .await;
            assert_eq!(
                (texts.concat(), end.exit),
                (format!("{i}\n"), Exit::Code(i))
            );
        }
    });
    futures_util::future::join_all(runs).await;
}

#[tokio::test]
async fn a_killed_spawner_is_replaced_and_its_runs_go_on() {
    let processes = processes();
    let mark = mark();
    let child = processes
        .start(&marked(shell("read line < /dev/zero; echo never"), &mark))
        .await
        .unwrap();
    let before = processes.spawner_pid();
    let spawner = nix::unistd::Pid::from_raw(i32::try_from(before).unwrap());
    nix::sys::signal::kill(spawner, nix::sys::signal::Signal::SIGKILL).unwrap();
    let again = || async {
        finish(processes.start(&shell("echo again")).await.unwrap())
            .await
            .0
            .concat()
    };
    // The first start may still reach the dead spawner's socket while the kernel closes it.
    wait_until(PATIENCE, "the spawner is a zombie", || {
        std::fs::read_to_string(format!("/proc/{before}/stat"))
            .unwrap()
            .contains(") Z ")
    })
    .await;
    assert_eq!(again().await, "again\n");
    assert_ne!(processes.spawner_pid(), before);
    child.control().kill_now();
    let (_, end) = finish(child).await;
    assert_eq!(end.by, EndedBy::Order);
    super::gone_within(PATIENCE, &mark).await;
}
