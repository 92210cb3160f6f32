//! The configuration: which part wins, what is refused and where, and that nothing secret is shown.

use std::io::Write as _;

use super::{Config, CoordinationSection, Environment, RunLogSection, Target};

fn load(text: &str, environment: &[(&str, &str)]) -> anyhow::Result<Config> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let environment = environment.iter().map(own).collect::<Environment>();
    Config::load(Some(file.path()), &environment)
}

/// Each of the two variables is read before the other one is known.
#[test]
fn with_tls_other_hosts_may_come() {
    let files = [
        ("SANDCLOCK__TLS__CERTIFICATE", "/a.pem"),
        ("SANDCLOCK__TLS__KEY", "/a.key"),
    ];
    let text = "listen = \"0.0.0.0:8070\"\n[worker]\nlisten = \"0.0.0.0:8071\"\n";
    let config = load(text, &files).unwrap();
    assert!(!config.is_exposed());
    let files = config.tls.files().unwrap();
    assert_eq!(files.key, std::path::Path::new("/a.key"));
    assert!(load(text, &[]).is_err());
}

#[test]
fn the_environment_wins_over_the_file() {
    let file = "default_time_zone = \"Asia/Tokyo\"\n[worker]\nmax_concurrent_runs = 3\n";
    let config = load(
        file,
        &[
            ("SANDCLOCK__WORKER__NAME", "w-7"),
            ("SANDCLOCK__WORKER__MAX_CONCURRENT_RUNS", "9"),
            ("SANDCLOCK__WORKER__LABELS__ZONE", "eu-1"),
        ],
    );
    let config = config.unwrap();
    let zone = config.worker.labels.get("zone");
    assert_eq!(zone.map(String::as_str), Some("eu-1"));
    assert_eq!(config.worker.name.as_deref(), Some("w-7"));
    assert_eq!(config.worker.max_concurrent_runs, 9);
    assert_eq!(config.default_time_zone.as_deref(), Some("Asia/Tokyo"));
}

/// What is not said of a plugin is as for all.
#[test]
fn a_breaker_is_for_all_plugins_or_for_one() {
    let text = "[plugins.breaker]\nfailures = 3\n[plugins.breakers.pager]\nenabled = false\nwithin_s = 60\n";
    let rules = load(text, &[]).unwrap().plugins.breakers().unwrap();
    let told =
        |rule: &sandclock_hooks::BreakerRule| (rule.enabled, rule.failures, rule.within.as_secs());
    assert_eq!(told(&rules.default), (true, 3, 300));
    assert_eq!(told(&rules.by_name["pager"]), (false, 3, 60));
    for (text, said) in [
        (
            "[plugins.breaker]\nfailures = 0\n",
            "plugins.breaker.failures: 0 is not accepted: 1 to 1000",
        ),
        (
            "[plugins.breakers.a]\nwithin_s = 86401\n",
            "plugins.breakers.a.within_s: 86401 is not accepted",
        ),
        ("[plugins.breakers.\"a b\"]\n", "plugins.breakers.a b: "),
        ("[plugins.breaker]\nwithin = 1\n", "within"),
    ] {
        let refused = load(text, &[]).unwrap_err().to_string();
        assert!(refused.contains(said), "{refused}");
    }
}

/// What plugins may do beside answering: names that fit, addresses that could be meant, secrets that have a source.
#[test]
fn what_plugins_may_do_is_checked() {
    let target = "[plugins.http.oncall]\nurl = \"https://oncall.example.org/api\"\n";
    let right = format!(
        "[plugins.grants.storm-alert]\nkv = true\nhttp = [\"oncall\"]\n{target}\
         headers = {{ authorization = \"Bearer {{{{secret:token}}}}\" }}\n[plugins.secrets.token]\nenv = \"TOKEN\"\n"
    );
    let config = load(&right, &[]).unwrap();
    assert!(config.plugins.targets().unwrap().contains_key("oncall"));
    let url = |url: &str| format!("[plugins.http.oncall]\nurl = \"{url}\"\n");
    for (text, said) in [
        (
            "[plugins.grants.a]\nhttp = [\"oncall\"]\n".to_owned(),
            "plugins.grants.a.http: oncall is not accepted: the name of a target",
        ),
        (
            "[plugins.grants.\"a b\"]\nkv = true\n".to_owned(),
            "plugins.grants.a b: ",
        ),
        (url("oncall"), "plugins.http.oncall.url: "),
        (url("ftp://oncall.example.org"), "an https address"),
        (
            url("http://oncall.example.org"),
            "only with allow_private = true",
        ),
        (
            url("https://ann:pw@oncall.example.org"),
            "credentials go into headers",
        ),
        (
            url("https://oncall.example.org/?key=1"),
            "credentials go into headers",
        ),
        (
            url("https://10.0.0.1/"),
            "a private address, which the operator has not allowed for it",
        ),
        (
            url("https://169.254.169.254/"),
            "to which no plugin may send anything",
        ),
        (
            format!("{target}headers = {{ \"x y\" = \"z\" }}\n"),
            "the name of an HTTP header",
        ),
        (
            format!("{target}headers = {{ x = \"{{{{token}}}}\" }}\n"),
            "{{secret:NAME}}",
        ),
        (
            format!("{target}headers = {{ x = \"{{{{secret:token}}}}\" }}\n"),
            "it names the secret token: write [plugins.secrets.token]",
        ),
        (
            "[plugins.secrets.token]\n".to_owned(),
            "plugins.secrets.token: (not shown) is not accepted: either 'file'",
        ),
    ] {
        let error = format!("{:#}", load(&text, &[]).unwrap_err());
        assert!(error.contains(said), "{text}: {error}");
    }
}

#[test]
fn half_of_tls_and_secrets_without_a_source_are_refused() {
    let cases = [
        ("[tls]\ncertificate = \"a\"\n", "tls.key: nothing"),
        ("[tls]\nclient_ca = \"a\"\n", "tls.certificate: nothing"),
        (
            "[worker.secrets.\"a/b\"]\nenv = \"A\"\n",
            "worker.secrets: (not shown)",
        ),
        ("[worker.secrets.a]\n", "worker.secrets.a: (not shown)"),
    ];
    for (text, expected) in cases {
        let error = format!("{:#}", load(text, &[]).unwrap_err());
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn errors_name_the_key_and_what_is_accepted() {
    let cases = [
        ("[worker]\nmax_runs = 3\n", "max_runs"),
        (
            "listen = \"everywhere\"\n",
            "line 1: listen: \"everywhere\" is not",
        ),
        ("listen = \"0.0.0.0:8070\"\n", "behind_proxy"),
        ("listen = \"0.0.0.0:8070\"\n", "tls.certificate"),
        (
            "[worker]\nlisten = \"0.0.0.0:8071\"\n",
            "line 2: worker.listen: 0.0.0.0:8071 is not accepted: it is open to other hosts",
        ),
        (
            "[worker]\nlisten = 8071\n",
            "line 2: worker.listen: 8071 is not accepted: ",
        ),
        ("[alerts.targets.ops]\ntype = \"pager\"\n", "webhook"),
        ("[coordination]\ntype = \"zookeeper\"\n", "etcd"),
        (
            "[worker.labels]\nzone = 3\n",
            "line 2: worker.labels.zone: 3 is not accepted: text",
        ),
        (
            "[worker.labels]\n\"a b\" = \"c\"\n",
            "worker.labels: \"a b\" is not accepted: 1 to 63 letters, digits",
        ),
        (
            "[worker.labels]\nzone = \"a b\"\n",
            "line 2: worker.labels.zone: \"a b\" is not accepted: 1 to 63 letters, digits",
        ),
        (
            "[worker]\nspool_max_bytes = 1000\n",
            "worker.spool_max_bytes: 1000 is not accepted: a number of bytes from 1048576",
        ),
        ("\ndefault_time_zone = \"Mars/Base\"\n", "line 2"),
        (
            "default_time_zone = \"Mars/Base\"\n",
            "default_time_zone: \"Mars/Base\" is not accepted: ",
        ),
        (
            "default_time_zone = \"Europe/Berln\"\n",
            "did you mean Europe/Berlin",
        ),
        (
            "[alerts.targets.ops]\ntype = \"webhook\"\nurl = \"ftp://a/b\"\n",
            "http or https",
        ),
        (
            "[alerts.targets.ops]\ntype = \"webhook\"\nurl = \"hooks/secret\"\n",
            "line 3: alerts.targets.ops.url: (not shown) is not accepted: ",
        ),
        (
            "[alerts.targets.ops]\ntype = \"webhook\"\nurl = \"http://\"\n",
            "with a host",
        ),
        ("[coordination]\ntype = \"etcd\"\n", "endpoints"),
        (
            "[coordination]\ntype = \"etcd\"\nendpoints = [\"a:2379\"]\nuser = \"x\"\nprefx = \"/\"\n",
            "prefx",
        ),
        (
            "[coordination]\ntype = \"etcd\"\nendpoints = [\"a:2379\"]\n",
            "run_log.type = \"mongodb\"",
        ),
    ];
    are_refused(&cases);
}

fn are_refused(cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        let error = format!("{:#}", load(text, &[]).unwrap_err());
        assert!(error.contains(expected), "{text}: {error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[test]
fn policies_of_alerts_that_cannot_be_meant_are_refused() {
    are_refused(&[
        (
            "[alerts]\ntake_over_s = 20\n[alerts.targets.a]\ntype = \"slack\"\nurl = \"https://a/b\"\n",
            "line 2: alerts.take_over_s: 20 is not accepted: seconds from 30",
        ),
        (
            "[alerts.targets.a]\ntype = \"log\"\n[alerts.targets.a.policy]\nescalate = [{ after = 2, to = \"b\" }]\n\
             [alerts.targets.c]\ntype = \"log\"\n",
            "alerts.targets.a.policy.escalate[0].to: \"b\" is not accepted: another target: c",
        ),
        (
            "[alerts.targets.a]\ntype = \"log\"\n[alerts.targets.a.policy]\nescalate = [{ after = 2, to = \"b\" }]\n",
            "alerts.targets.a.policy.escalate[0].to: \"b\" is not accepted: another target, of which there is none yet",
        ),
        (
            "[alerts.targets.a]\ntype = \"log\"\n[alerts.targets.a.policy.quiet]\nfrom = \"7:00\"\nto = \"8:00\"\n",
            "line 4: alerts.targets.a.policy.quiet.from: \"7:00\" is not accepted: a time of the day",
        ),
        (
            "[alerts.targets.a]\ntype = \"log\"\n[alerts.targets.a.policy.quiet]\nfrom = \"07:00\"\nto = \"07:00\"\n\
             zone = \"UTC\"\n",
            "line 3: alerts.targets.a.policy.quiet: 07:00 to 07:00 is not accepted: two different times",
        ),
        (
            "[alerts.targets.a]\ntype = \"log\"\n[alerts.targets.a.policy.quiet]\nfrom = \"07:00\"\nto = \"08:00\"\n\
             zone = \"Europe/Berln\"\n",
            "line 6: alerts.targets.a.policy.quiet.zone: \"Europe/Berln\" is not accepted: ",
        ),
        (
            "[alerts.targets.a]\ntype = \"log\"\npolicy = { rate = 0 }\n",
            "alerts.targets.a.policy.rate: 0 is not accepted: messages in a minute from 1 to 1000",
        ),
        (
            "[alerts.targets.a]\ntype = \"log\"\npolicy = { retry = { factor = 0.5 } }\n",
            "alerts.targets.a.policy.retry.factor: 0.5 is not accepted: a number from 1 to 100",
        ),
    ]);
}

#[test]
fn targets_that_cannot_be_reached_are_refused() {
    are_refused(&[
        (
            "[alerts.targets.a]\ntype = \"webhook\"\nurl = \"https://a/b\"\nsecret = \"hunter2\"\n",
            "line 4: alerts.targets.a.secret: (not shown) is not accepted: whsec_ and 24 to 64 random bytes",
        ),
        (
            "[alerts.targets.a]\ntype = \"email\"\nhost = \"h\"\nfrom = \"nobody\"\nto = [\"a@b.example\"]\n",
            "line 4: alerts.targets.a.from: \"nobody\" is not accepted: an address such as ops@example.org",
        ),
        (
            "[alerts.targets.a]\ntype = \"email\"\nhost = \"h\"\nfrom = \"a@b.example\"\nto = []\n",
            "line 5: alerts.targets.a.to: [] is not accepted: at least one address",
        ),
        (
            "[alerts.targets.a]\ntype = \"email\"\nhost = \"h\"\nfrom = \"a@b.example\"\nto = [\"a@b.example\"]\n\
             user = \"u\"\n",
            "alerts.targets.a.password: (not shown) is not accepted: with user a password is needed",
        ),
        (
            "[alerts.targets.a]\ntype = \"nats\"\nservers = [\"nats://u:hunter2@h:4222\"]\nsubject = \"a\"\n",
            "alerts.targets.a.servers[0]: (not shown) is not accepted: at least one host:port",
        ),
        (
            "[alerts.targets.a]\ntype = \"nats\"\nservers = [\"h:4222\"]\nsubject = \"alerts.>\"\n",
            "line 4: alerts.targets.a.subject: \"alerts.>\" is not accepted: words separated by dots",
        ),
    ]);
}

#[test]
fn errors_name_the_line_or_the_variable() {
    let cases = [
        (
            "\n[worker]\ndrain_s = \"soon\"\n",
            "line 3: worker.drain_s: \"soon\" is not accepted: a whole number from 0",
        ),
        (
            "[worker]\nname = \"w\"\ndrain = 3\n",
            "line 3: worker.drain: 3 is not accepted: there is no such field; known are name, ",
        ),
        (
            "[run_log]\ntype = \"mongodb\"\nuri = [\"mongodb://ann:hunter2@m\"]\n",
            "line 3: run_log.uri: (not shown) is not accepted: text",
        ),
        (
            "[alerts.targets.ops]\ntype = \"webhook\"\n",
            "line 1: alerts.targets.ops.url: (not shown) is not accepted: url must be given",
        ),
        (
            "listen = \"0.0.0.0:8070\"\n",
            "line 1: listen: 0.0.0.0:8070 is not",
        ),
        (
            "[worker.secrets.db]\nvalue = \"hunter2\"\n",
            "line 2: worker.secrets.db.value: (not shown) is not accepted: there is no such field",
        ),
        ("listen = [\n", "line 1 is not TOML: "),
        (
            "[coordination]\ntype = \"etcd\"\nendpoints = [\"a:1\"]\nsession_ttl_s = 26\n[run_log]\ntype = \"mongodb\"\n\
             uri = \"mongodb://m\"\n",
            "line 4: coordination.session_ttl_s: 26 is not accepted: seconds from 8 to 25",
        ),
    ];
    for (text, expected) in cases {
        let error = format!("{:#}", load(text, &[]).unwrap_err());
        assert!(error.contains(expected), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
    for (name, value) in [
        ("SANDCLOCK__WORKER__DRAIN_S", "soon"),
        ("SANDCLOCK__LISTEN", "0.0.0.0:1"),
        ("SANDCLOCK__LISTEN__PORT", "1"),
        ("SANDCLOCK__WORKERS", "1"),
    ] {
        let error = load("listen = \"127.0.0.1:1\"", &[(name, value)]).unwrap_err();
        let error = format!("{error:#}");
        let place = format!("environment variable {name}: ");
        assert!(error.starts_with(&place), "{error}");
    }
}

#[test]
fn a_fleet_names_its_stores_and_shows_no_password() {
    let text = "[coordination]\ntype = \"etcd\"\nendpoints = [\"a:2379\", \"b:2379\"]\nuser = \"ann\"\n\
                password = \"hunter2\"\n[run_log]\ntype = \"mongodb\"\nuri = \"mongodb://ann:hunter2@m\"\n";
    let config = load(text, &[("SANDCLOCK__RUN_LOG__DATABASE", "jobs")]).unwrap();
    let CoordinationSection::Etcd(etcd) = &config.coordination else {
        panic!("{config:?}")
    };
    assert_eq!(
        (etcd.endpoints.len(), etcd.prefix.as_str()),
        (2, "/sandclock/")
    );
    let RunLogSection::Mongodb(mongodb) = &config.run_log else {
        panic!("{config:?}")
    };
    assert_eq!(
        (mongodb.database.as_str(), mongodb.collection.as_str()),
        ("jobs", "log")
    );
    let shown = format!("{config:?}");
    assert!(!shown.contains("hunter2"), "{shown}");
}

/// The guide to operators shows every member.
#[test]
fn the_documented_alerts_are_accepted() {
    let guide = include_str!("../../../docs/operations.md");
    let (_, rest) = guide.split_once("```toml\n[alerts]\n").unwrap();
    let (text, _) = rest.split_once("```").unwrap();
    let config = load(&format!("[alerts]\n{text}"), &[]).unwrap();
    let names: Vec<_> = config.alerts.targets.keys().map(String::as_str).collect();
    assert_eq!(names, ["default", "lead", "night", "ops", "queue"]);
}

#[test]
fn targets_show_no_secret() {
    let text = "[alerts.targets.a]\ntype = \"webhook\"\nurl = \"https://a/hunter2\"\n\
                secret = \"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"\nheaders = { A = \"hunter2\" }\n\
                [alerts.targets.b]\ntype = \"slack\"\nurl = \"https://a/hunter2\"\n\
                [alerts.targets.c]\ntype = \"email\"\nhost = \"h\"\nfrom = \"a@b.example\"\nto = [\"a@b.example\"]\n\
                user = \"u\"\npassword = \"hunter2\"\n\
                [alerts.targets.d]\ntype = \"nats\"\nservers = [\"h:4222\"]\nsubject = \"a\"\ntoken = \"hunter2\"\n";
    let shown = format!("{:?}", load(text, &[]).unwrap());
    assert!(
        !shown.contains("hunter2") && !shown.contains("MfKQ"),
        "{shown}"
    );
}

#[test]
fn without_targets_alerts_go_to_the_log() {
    let config = load("", &[]).unwrap();
    assert!(matches!(
        config.alerts.targets.get("default"),
        Some(Target::Log(_))
    ));
}

#[test]
fn where_people_sign_in_is_checked_by_field() {
    let section = |more: &str| {
        let issuer = match more.contains("issuer") {
            true => "",
            false => "issuer = \"https://login.example.org/a\"\n",
        };
        let rule = match more.contains("rules") {
            true => "",
            false => "[[oidc.rules]]\ngroup = \"ops\"\nrole = \"operator\"\n",
        };
        format!("[oidc]\nclient_id = \"sandclock\"\n{issuer}{more}{rule}")
    };
    let config = load(&section("client_secret = \"of-ours\"\n"), &[]).unwrap();
    assert!(!config.has_tls() && !format!("{config:?}").contains("of-ours"));
    let public = "public_url = \"https://cron.example.org\"\n";
    assert!(load(&section(public), &[]).unwrap().has_tls());
    let rule = |rule: &str| format!("[[oidc.rules]]\n{rule}\n");
    for (more, said) in [
        ("issuer = \"http://login.example.org\"\n", "oidc.issuer: "),
        ("issuer = \"login.example.org\"\n", "oidc.issuer: "),
        (
            "public_url = \"http://cron.example.org\"\n",
            "oidc.public_url: ",
        ),
        (
            "public_url = \"https://cron.example.org/x\"\n",
            "without a path",
        ),
        (
            "public_url = \"https://a@cron.example.org\"\n",
            "oidc.public_url: ",
        ),
        ("timeout_s = 0\n", "oidc.timeout_s: 0 "),
        ("client_secret = 7\n", "oidc.client_secret: (not shown)"),
        ("rules = []\n", "oidc.rules: "),
        (
            &rule("role = \"viewer\""),
            "one of group, email and subject",
        ),
        (
            &rule("role = \"viewer\"\ngroup = \"\""),
            "one of group, email",
        ),
        (
            &rule("role = \"viewer\"\ngroup = \"a\"\nemail = \"b@example.org\""),
            "oidc.rules[0]",
        ),
        (
            &rule("role = \"root\"\ngroup = \"a\""),
            "viewer, operator, editor or admin",
        ),
        (
            &rule("role = \"viewer\"\ngroup = \"a\"\nprefixes = [\"/x\"]"),
            "oidc.rules[0].prefixes",
        ),
    ] {
        let refused = load(&section(more), &[]).unwrap_err().to_string();
        assert!(refused.contains(said), "{more}: {refused}");
    }
    // Others reach it by another address than where it listens.
    let proxied = format!("behind_proxy = true\n{}", section(""));
    let refused = load(&proxied, &[]).unwrap_err().to_string();
    assert!(refused.contains("oidc.public_url: nothing"), "{refused}");
    let short = load("[sessions]\nidle_s = 0\n", &[]).unwrap_err();
    assert!(short.to_string().contains("sessions.idle_s: 0"), "{short}");
}
