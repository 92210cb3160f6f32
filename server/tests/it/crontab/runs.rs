//! Imported jobs as they run: environment, folder, shell and standard input as cron gives them.

use std::collections::BTreeMap;

use crate::crontab::written;
use crate::product::{Product, told};

/// Imports a crontab as file `tab`.
#[track_caller]
fn import(product: &Product, text: &str) {
    let file = written(product, "tab", text);
    let output = product.cli(&["crontab", "import", file.to_str().unwrap(), "--apply"]);
    assert!(output.status.success(), "{}", told(&output));
}

/// What a job of file `tab` printed, and how it ended.
async fn printed(product: &Product, name: &str) -> (String, serde_json::Value) {
    let run = product.run_job(&format!("tab%2F{name}")).await;
    let id = run["id"].as_str().unwrap();
    (product.text(&format!("/runs/{id}/output")).await, run)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_sees_the_environment_that_cron_gives() {
    let product = Product::start(&["--no-examples"]);
    let folder = product.home().join("own");
    std::fs::create_dir(&folder).unwrap();
    let shown = folder.to_str().unwrap();
    let text = format!(
        "@yearly env; pwd\n\
         GREETING = \" hello there \"\n'LITERAL'=$PATH\nLOGNAME=somebody\nHOME={shown}\nSHELL=/bin/bash\nPATH=/usr/local/bin:/usr/bin:/bin\n\
         @yearly env; pwd; echo $BASH\n"
    );
    import(&product, &text);
    let read = |output: &str| -> (BTreeMap<String, String>, Vec<String>) {
        let (settings, others): (Vec<_>, Vec<_>) =
            output.lines().partition(|line| line.contains('='));
        let settings = settings.iter().filter_map(|line| line.split_once('='));
        let shells = |name: &str| ["PWD", "SHLVL", "_"].contains(&name);
        let settings =
            settings.filter(|(name, _)| !shells(name) && !name.starts_with("SANDCLOCK_"));
        let own = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        (
            settings.map(own).collect(),
            others.into_iter().map(str::to_owned).collect(),
        )
    };

    let (output, run) = printed(&product, "env-1").await;
    assert_eq!(run["state"], "succeeded", "{run}");
    let (plain, rest) = read(&output);
    let names: Vec<_> = plain.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        ["HOME", "LANG", "LOGNAME", "PATH", "SHELL", "USER"],
        "{output}"
    );
    assert_eq!(
        (&*plain["PATH"], &*plain["SHELL"]),
        ("/usr/bin:/bin", "/bin/sh")
    );
    assert_eq!(
        rest,
        [plain["HOME"].clone()],
        "it starts in the home folder"
    );

    let (output, run) = printed(&product, "env-2").await;
    assert_eq!(run["state"], "succeeded", "{run}");
    let (own, rest) = read(&output);
    let mut expected = plain.clone();
    for (name, value) in [
        ("GREETING", " hello there "),
        ("HOME", shown),
        ("LITERAL", "$PATH"),
        ("PATH", "/usr/local/bin:/usr/bin:/bin"),
        ("SHELL", "/bin/bash"),
    ] {
        expected.insert(name.to_owned(), value.to_owned());
    }
    assert_eq!(own, expected);
    assert_eq!(rest, [shown, "/bin/bash"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_reads_what_stands_behind_the_percent_sign() {
    let product = Product::start(&["--no-examples"]);
    // The line, what it prints, and its exit code.
    let cases = [
        ("cat%one%two\\%three%%five", "one\ntwo%three\n\nfive\n", 0),
        ("cat # a comment%in", "in\n", 0),
        ("cat%", "", 0),
        ("cat", "", 0),
        (
            "read -r line; printf '<\\%s>\\n' \"$line\"; cat; exit 3%a\\b%$HOME `x` 'y'",
            "<a\\b>\n$HOME `x` 'y'\n",
            3,
        ),
        ("(cat; echo end) | tr a-z A-Z%INPUT%x", "INPUT\nX\nEND\n", 0),
        ("printf '\\%s+' a b; cat%", "a+b+", 0),
        (
            "if read -r l; then echo \"$l\"; else echo none; fi%",
            "none\n",
            0,
        ),
        ("wc -l | tr -d ' '%%%", "2\n", 0),
        ("exec cat%replaced", "replaced\n", 0),
    ];
    for shell in ["/bin/sh", "/bin/bash"] {
        // One name for each line: a group of its own.
        let lines = cases.iter().enumerate();
        let lines = lines.map(|(at, (line, ..))| format!("CASE={at}\n@yearly {line}\n"));
        import(
            &product,
            &format!("SHELL={shell}\n{}", lines.collect::<String>()),
        );
        let jobs = product.get("/jobs").await;
        for (at, (line, expected, code)) in cases.iter().enumerate() {
            let case = at.to_string();
            let of_case = |job: &&serde_json::Value| job["env"]["CASE"] == *case;
            let job = jobs["items"]
                .as_array()
                .unwrap()
                .iter()
                .find(of_case)
                .unwrap();
            let name = job["name"].as_str().unwrap().strip_prefix("tab/").unwrap();
            let (output, run) = printed(&product, name).await;
            assert_eq!(&output, expected, "{line} in {shell}: {job}");
            assert_eq!(run["exit_code"], *code, "{line} in {shell}: {run}");
        }
    }
}
