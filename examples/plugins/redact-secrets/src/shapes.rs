//! The shapes of well-known credentials.
//!
//! Each begins with something that ordinary text seldom has, so that output is passed over quickly and no prose is hidden.
//! Bytes before a shape are not looked at: `xAKIA…` is hidden as well.

/// A rule's name, which the label shows, and its pattern.
pub(crate) type Shape = (&'static str, &'static str);

/// A private key in PEM or OpenPGP armour, also on one line with `\n` escapes as JSON has it. One whose end is missing
/// is hidden as far as it goes.
pub(crate) const PRIVATE_KEY: Shape = (
    "private-key",
    concat!(
        r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----",
        r"(?:(?:\s|\\[nrt])*(?:[A-Za-z-]+: [^\r\n\\]*|[A-Za-z0-9+/=]{16,}))*",
        r"(?:(?:\s|\\[nrt])*[A-Za-z0-9+/=]*(?:\s|\\[nrt])*-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----)?",
    ),
);

/// All the others.
pub(crate) const SHAPES: &[Shape] = &[
    ("aws-key", r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}"),
    (
        "aws-secret",
        r#"(?i)aws_?secret_?access_?key["']?\s{0,4}[:=]\s{0,4}["']?[a-z0-9/+]{40}"#,
    ),
    (
        "github-token",
        r"gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{22,}",
    ),
    (
        "gitlab-token",
        r"gl(?:pat|oas|dt|rt|rtr|cbt|ptt|ft|imt|agent|soat|ffct)-[A-Za-z0-9_=.-]{20,}",
    ),
    (
        "slack-token",
        r"xox[a-z]-[A-Za-z0-9-]{10,}|xapp-[0-9]-[A-Za-z0-9-]{20,}",
    ),
    (
        "slack-webhook",
        r"hooks\.slack\.com/(?:services|workflows|triggers)/[A-Za-z0-9/_+-]{20,}",
    ),
    (
        "jwt",
        r"eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*",
    ),
    (
        "stripe-key",
        r"[sr]k_(?:live|test)_[A-Za-z0-9]{16,}|whsec_[A-Za-z0-9+/=]{24,}",
    ),
    (
        "google-key",
        r"AIza[A-Za-z0-9_-]{35}|GOCSPX-[A-Za-z0-9_-]{28}|ya29\.[A-Za-z0-9_-]{20,}",
    ),
    (
        "azure-key",
        r"(?i)(?:account|sharedaccess)key=[a-z0-9+/]{40,}={0,2}",
    ),
    (
        "openai-key",
        r"sk-(?:proj|svcacct|admin)-[A-Za-z0-9_-]{20,}|sk-[A-Za-z0-9]{48}",
    ),
    ("anthropic-key", r"sk-ant-[a-z0-9]+-[A-Za-z0-9_-]{20,}"),
    ("npm-token", r"npm_[A-Za-z0-9]{36}"),
    ("pypi-token", r"pypi-AgE[A-Za-z0-9_-]{50,}"),
    ("docker-token", r"dckr_(?:pat|oat)_[A-Za-z0-9_-]{24,}"),
    ("sendgrid-key", r"SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}"),
    ("twilio-key", r"SK[0-9a-f]{32}"),
    ("digitalocean-token", r"do[opr]_v1_[a-f0-9]{64}"),
    ("vault-token", r"hv[sbr]\.[A-Za-z0-9_-]{24,}"),
    ("age-key", r"AGE-SECRET-KEY-1[0-9A-Z]{58}"),
    (
        "authorization",
        r#"(?i)authorization["']?\s{0,4}[:=]\s{0,4}["']?(?:basic|bearer|token|negotiate)\s{1,4}[^\s"']+"#,
    ),
    (
        "bearer-token",
        r"(?i)bearer[ \t]{1,4}[a-z0-9._~+/-]{20,}={0,2}",
    ),
    ("url-password", r#"://[^\s/:@"'<>]*:[^\s/@"'<>]+@"#),
];
