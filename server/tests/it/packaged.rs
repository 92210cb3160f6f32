//! Completions and man pages.
#![expect(
    clippy::disallowed_methods,
    reason = "a shell runs what a package installs"
)]

use std::collections::BTreeSet;
use std::process::Command;

use crate::product::{PROGRAM, told};

fn sandclock(args: &[&str]) -> std::process::Output {
    let output = Command::new(PROGRAM).args(args).output().unwrap();
    assert!(output.status.success(), "{}", told(&output));
    output
}

/// What bash offers for the last of these words.
fn offered(words: &[&str]) -> BTreeSet<String> {
    let (last, before) = (words[words.len() - 1], words[words.len() - 2]);
    let script = format!(
        "source <(\"{PROGRAM}\" completions bash)\n\
         function=$(complete -p sandclock | sed 's/.*-F \\([^ ]*\\).*/\\1/')\n\
         COMP_WORDS=({}); COMP_CWORD={}\n\
         \"$function\" sandclock '{last}' '{before}'\n\
         printf '%s\\n' \"${{COMPREPLY[@]}}\"\n",
        words.join(" ").trim_end(),
        words.len() - 1,
    );
    let output = Command::new("bash")
        .args(["-uec", &script])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", told(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .map(str::to_owned)
        .filter(|word| !word.is_empty())
        .collect()
}

#[test]
fn bash_completes_commands_and_options() {
    let has = |words: &[&str], expected: &[&str]| {
        let offered = offered(words);
        for expected in expected {
            assert!(offered.contains(*expected), "{expected}: {offered:?}");
        }
    };
    has(&["sandclock", "cr"], &["crontab"]);
    has(&["sandclock", "job", "a"], &["apply"]);
    has(
        &["sandclock", "crontab", "import", "--"],
        &["--apply", "--system", "--time-zone", "--output"],
    );
    has(&["sandclock", "job", "ls", "--output", "y"], &["yaml"]);
    has(&["sandclock", "completions", "z"], &["zsh"]);
}

#[test]
fn every_shell_has_a_script() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = String::from_utf8(sandclock(&["completions", shell]).stdout).unwrap();
        assert!(
            script.contains("sandclock") && script.contains("crontab"),
            "{shell}"
        );
    }
    let unknown = Command::new(PROGRAM)
        .args(["completions", "cmd"])
        .output()
        .unwrap();
    assert_eq!(unknown.status.code(), Some(2));
    assert!(told(&unknown).contains("possible values: bash, elvish, fish, powershell, zsh"));
}

#[test]
fn every_command_has_a_man_page() {
    let folder = tempfile::tempdir().unwrap();
    let man = folder.path().join("share/man1");
    let said = told(&sandclock(&["man", man.to_str().unwrap()]));
    let pages: BTreeSet<_> = std::fs::read_dir(&man)
        .unwrap()
        .map(|page| page.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(said, format!("wrote {} man pages\n", pages.len()));
    for page in [
        "sandclock.1",
        "sandclock-job-apply.1",
        "sandclock-crontab-import.1",
        "sandclock-run-explain.1",
    ] {
        assert!(pages.contains(page), "{page}: {pages:?}");
    }
    assert!(
        !pages.contains("sandclock-man.1"),
        "what is hidden has none: {pages:?}"
    );
    for page in &pages {
        let text = std::fs::read_to_string(man.join(page)).unwrap();
        for section in [".TH ", ".SH NAME", ".SH SYNOPSIS"] {
            assert!(text.contains(section), "{section} in {page}");
        }
    }
    let import = std::fs::read_to_string(man.join("sandclock-crontab-import.1")).unwrap();
    for expected in [
        "\\-\\-apply",
        "\\-\\-time\\-zone",
        "Save the jobs, once all of them have been checked",
    ] {
        assert!(import.contains(expected), "{expected}: {import}");
    }
}
