//! What is read of a crontab's lines, and the jobs that are made of them.

use super::*;

fn read(text: &str) -> Crontab {
    parse(text.as_bytes(), false)
}

/// The one entry of a crontab in which nothing is refused.
#[track_caller]
fn entry(text: &str) -> Entry {
    let crontab = read(text);
    assert_eq!(crontab.refused, []);
    let [entry] = crontab.entries.try_into().expect("one entry");
    entry
}

#[track_caller]
fn refusal(text: &str) -> String {
    let crontab = read(text);
    assert!(crontab.entries.is_empty(), "{:?}", crontab.entries);
    crontab
        .refused
        .first()
        .expect("a refusal")
        .error
        .to_string()
}

#[test]
fn fields_keep_their_meaning() {
    for (written, schedule) in [
        ("*/5 * * * *", "*/5 * * * *"),
        ("00 007 01 JAN Mon-Fri", "0 7 1 jan mon-fri"),
        ("0,30 8-18/2 * * 0-7", "0,30 8-18/2 * * 0-7"),
        ("*/60 */24 */40 */13 */7", "0 0 */31 */12 0"),
        ("5-10/90 * 2-4/32 * *", "5 * 2 * *"),
        ("@hourly", "@hourly"),
        ("@midnight", "@midnight"),
    ] {
        assert_eq!(entry(&format!("{written}\ttrue\n")).schedule, schedule);
    }
}

#[test]
fn what_no_cron_takes_is_refused_with_a_remedy() {
    for (line, told) in [
        (
            "5/15 * * * * x",
            "minute: 5/15 is not accepted: a step behind a range: 5-59/15",
        ),
        ("60 * * * * x", "minute: 60 is not accepted: 0-59"),
        ("0 24 * * * x", "hour: 24"),
        ("0 0 L * * x", "day of month: L"),
        ("0 0 * * fri#2 x", "day of week: fri#2"),
        ("0 0 * * friday x", "day of week: friday"),
        ("0 0 * * fri-mon x", "a range upwards, not fri-mon"),
        ("0 0 ? * * x", "day of month: ?"),
        ("1, * * * * x", "no empty item"),
        ("*/0 * * * * x", "a step from 1"),
        ("0~30 * * * * x", "a fixed value: '~'"),
        ("0 0 13 * */7 x", "cron asks for both days here"),
        ("@Daily x", "one of @yearly"),
        ("@every 5m x", "one of @yearly"),
        ("* * * * * * x", "this is a sixth"),
        ("* * * * *", "nothing is not accepted: a command"),
        ("0 0 * *", "five fields"),
        ("@daily", "nothing is not accepted: a command"),
        ("@daily %in", "a command before the first '%'"),
        (
            "A=\"x\" # no",
            "A: \"x\" # no is not accepted: a value in quotes",
        ),
        ("A-B=x", "a variable of letters"),
        ("SANDCLOCK_RUN_ID=x", "not one of SANDCLOCK_*"),
        ("HOME=", "HOME: nothing is not accepted: an absolute path"),
        ("HOME=srv", "HOME: srv is not accepted: an absolute path"),
        ("CRON_TZ=Mars/Base", "CRON_TZ: Mars/Base"),
        ("SHELL=/usr/bin/fish\n@daily cat%in", "SHELL: /usr/bin/fish"),
    ] {
        let refused = refusal(&format!("{line}\n"));
        assert!(refused.contains(told), "{line}: {refused}");
    }
    let crontab = parse(b"@daily \xff\n", false);
    let [refused] = crontab.refused.as_slice() else {
        panic!()
    };
    assert!(refused.error.accepted.contains("UTF-8"));
}

#[test]
fn a_percent_sign_begins_the_input() {
    for (written, command, stdin) in [
        ("date +\\%F", "date +%F", ""),
        ("cat%a%b", "cat", "a\nb\n"),
        ("cat%", "cat", ""),
        ("cat%%", "cat", "\n"),
        ("cat%a%", "cat", "a\n"),
        ("cat %a\\%b\\c\\\\%d\\", "cat ", "a%b\\c\\%d\\\n"),
        ("echo \\\\%in", "echo \\\\", "in\n"),
        ("printf 'a\\tb'", "printf 'a\\tb'", ""),
    ] {
        let entry = entry(&format!("@daily {written}\n"));
        assert_eq!(
            (&*entry.command, &*entry.stdin),
            (command, stdin),
            "{written}"
        );
    }
    let text = command::with_input("cat", "INPUT\na\n");
    assert_eq!(text, "exec <<'INPUT1'\nINPUT\na\nINPUT1\ncat");
}

#[test]
fn settings_hold_for_the_lines_below() {
    let text = "A=1\n  'B' = ' two '\n@daily first\nA=\nC = x y \t\nCRON_TZ=europe/berlin\n@daily second\n";
    let crontab = read(text);
    assert_eq!(crontab.refused, []);
    let env = |at: usize| -> Vec<(&str, &str)> {
        let env = crontab.entries.get(at).expect("an entry").env.iter();
        env.map(|(name, value)| (name.as_str(), value.as_str()))
            .collect()
    };
    assert_eq!(env(0), [("A", "1"), ("B", " two ")]);
    let zone = ("CRON_TZ", "europe/berlin");
    assert_eq!(env(1), [("A", ""), ("B", " two "), ("C", "x y"), zone]);
    let zones: Vec<_> = crontab
        .entries
        .iter()
        .map(|entry| entry.time_zone.as_deref())
        .collect();
    assert_eq!(zones, [None, Some("Europe/Berlin")]);
}

#[test]
fn what_works_differently_is_told() {
    let text = "MAILTO=ops\nRANDOM_DELAY=30\nLOGNAME=x\nP=$PATH:/x\nTZ=UTC\n@reboot start\n0 0 30 2 * never\n@daily a\r\nA=\nB=\"\"\nCRON_TZ=Asia/Tokyo\n@daily b";
    let crontab = read(text);
    assert_eq!(crontab.refused, []);
    let about: Vec<_> = crontab
        .notes
        .iter()
        .map(|note| (note.line, &*note.about))
        .collect();
    let expected = [
        (1, "MAILTO"),
        (2, "RANDOM_DELAY"),
        (3, "LOGNAME"),
        (4, "P"),
        (5, "TZ"),
        (6, "@reboot"),
        (7, "schedule"),
        (8, "the end of the line"),
        (9, "A"),
        (11, "CRON_TZ"),
        (12, "the last line"),
    ];
    assert_eq!(about, expected);
    let commands: Vec<_> = crontab
        .entries
        .iter()
        .map(|entry| &*entry.command)
        .collect();
    assert_eq!(commands, ["a", "b"]);
}

#[test]
fn a_system_crontab_names_users() {
    let crontab = parse(
        b"17 *\t* * *  root   cd / && run-parts /etc/cron.hourly\n",
        true,
    );
    let [entry] = crontab.entries.as_slice() else {
        panic!("{crontab:?}")
    };
    assert_eq!(entry.user.as_deref(), Some("root"));
    assert_eq!(entry.command, "cd / && run-parts /etc/cron.hourly");
    for line in ["@daily root", "@daily root:wheel x", "0 0 * * * * x"] {
        let crontab = parse(format!("{line}\n").as_bytes(), true);
        assert_eq!(crontab.refused.len(), 1, "{line}");
    }
}

#[test]
fn jobs_are_named_after_file_and_program() {
    let mut names = Names::of("/etc/cron.d/php-fpm.dpkg", Some("web1/"));
    for (command, name) in [
        ("/usr/local/bin/backup.sh --full", "backup-sh-1"),
        ("nice -n 10 /usr/local/bin/backup.sh", "backup-sh-2"),
        (
            "cd /srv/app && LANG=C php -q artisan schedule:run",
            "artisan-1",
        ),
        (
            "[ -x /usr/lib/php/sessionclean ] && /usr/lib/php/sessionclean",
            "sessionclean-1",
        ),
        (
            "test -x /usr/bin/certbot -a \\! -d /run/systemd/system && perl -e 'sleep int(rand(43200))' && certbot -q renew",
            "certbot-1",
        ),
        ("(date; uptime) >> /tmp/x", "date-1"),
        ("timeout 10m python3 -u /srv/a.py", "a-py-1"),
        ("/bin/sh", "sh-1"),
        ("'%'", "job-1"),
    ] {
        assert_eq!(names.next(command), format!("web1/php-fpm-dpkg/{name}"));
    }
}

#[test]
fn a_job_says_what_cron_does_by_itself() {
    let entry = entry("HOME=/srv\n5 4 * * * mail -s x%dear%all\n");
    let origin = Origin {
        host: "web1",
        file: "/etc/x",
        prefix: None,
        time_zone: "Asia/Tokyo",
        user: Some("ann"),
    };
    let expected = serde_json::json!({
        "name": "x/mail-1",
        "labels": { "source": "crontab:web1:/etc/x user=ann" },
        "schedule": "5 4 * * *",
        "time_zone": "Asia/Tokyo",
        "dst": "vixie",
        "command": "exec <<'INPUT'\ndear\nall\nINPUT\nmail -s x",
        "shell": ["/bin/sh", "-c"],
        "env": { "HOME": "/srv", "PATH": "/usr/bin:/bin", "SHELL": "/bin/sh" },
        "concurrency": "allow",
        "misfire": { "policy": "skip" },
        "leftovers": "keep",
        "workdir": "/srv",
        "user": "ann",
    });
    assert_eq!(job(&entry, "x/mail-1", &origin), expected);
}
