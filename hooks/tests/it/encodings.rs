//! A secret is hidden in every form in which output usually shows one. The forms are made here by
//! libraries that have nothing to do with the mask, and printed byte by byte.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};
use sandclock_hooks::KnownSecrets;
use sandclock_hooks::mutants::Mutant;

/// With everything that some encoding changes.
const VALUE: &str = r#"p4$$ w/"q"+ö&<k>'\%=~?"#;
const KEY: &str = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\nBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj\n-----END KEY-----";

fn known(value: &str) -> KnownSecrets {
    let secrets = KnownSecrets::new();
    secrets.learn("S", value.as_bytes()).expect("can be masked");
    secrets
}

fn masked(value: &str, text: &str) -> String {
    byte_by_byte(&known(value), text)
}

fn byte_by_byte(secrets: &KnownSecrets, text: &str) -> String {
    let mut masker = secrets.masker();
    let mut out = Vec::new();
    for byte in text.as_bytes() {
        out.extend_from_slice(&masker.push(Bytes::copy_from_slice(&[*byte])));
    }
    out.extend_from_slice(&masker.finish());
    String::from_utf8(out).expect("text")
}

fn hidden(form: &str) {
    let shown = masked(VALUE, &format!("<<{form}>>"));
    assert_eq!(shown, "<<[secret:S]>>", "{form}");
}

#[test]
fn escapes_of_json() {
    let json = serde_json::to_string(VALUE).expect("json");
    let inner = json.trim_matches('"').to_owned();
    // The trim takes no quote of the value: its own are escaped.
    hidden(&inner);
    let twice = serde_json::to_string(&inner).expect("json");
    hidden(twice.trim_matches('"'));
    hidden(&inner.replace('/', r"\/"));
    hidden(&inner.replace('ö', r"\u00f6"));
    hidden(&inner.replace('ö', r"\u00F6"));
    let html = inner.replace('<', r"\u003c").replace('>', r"\u003e");
    hidden(&html.replace('&', r"\u0026"));
}

#[test]
fn escapes_of_urls() {
    const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'_')
        .remove(b'.')
        .remove(b'~');
    const PATH: &AsciiSet = &COMPONENT.remove(b'/');
    const URI: &AsciiSet = &CONTROLS
        .add(b' ')
        .add(b'"')
        .add(b'<')
        .add(b'>')
        .add(b'\\')
        .add(b'%');
    let lower = |text: &str| -> String {
        let mut parts = text.split('%');
        let head = parts.next().unwrap_or_default().to_owned();
        parts.fold(head, |out, part| {
            let (hex, rest) = part.split_at(2);
            format!("{out}%{}{rest}", hex.to_lowercase())
        })
    };
    for set in [COMPONENT, PATH] {
        let form = utf8_percent_encode(VALUE, set).to_string();
        hidden(&form);
        hidden(&lower(&form));
        hidden(&form.replace("%20", "+"));
    }
    // What JavaScript's encodeURI leaves is everything that is reserved.
    let uri = utf8_percent_encode(VALUE, URI);
    hidden(&uri.to_string());
}

#[test]
fn hexadecimal_xml_and_shells() {
    let hex: String = VALUE.bytes().map(|byte| format!("{byte:02x}")).collect();
    hidden(&hex);
    hidden(&hex.to_uppercase());
    let xml = VALUE
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    hidden(&xml.replace('"', "&quot;").replace('\'', "&#39;"));
    hidden(&VALUE.replace('\'', r"'\''"));
}

#[test]
fn base64_at_each_alignment_leaves_no_run_of_the_secret() {
    for before in ["", "x", "xy", "user:"] {
        for after in ["", "z", ":rest of it"] {
            let whole = format!("{before}{VALUE}{after}");
            for form in [STANDARD.encode(&whole), URL_SAFE_NO_PAD.encode(&whole)] {
                let shown = masked(VALUE, &form);
                assert!(shown.contains("[secret:S]"), "{form}");
                // At each end one character may be decided by the neighbour too.
                let left: usize = shown.replace("[secret:S]", "").len();
                let allowed = (before.len() + after.len()) * 4 / 3 + 6;
                assert!(left <= allowed, "{left} characters of {form}: {shown}");
            }
        }
    }
}

#[test]
fn base64_that_a_tool_has_wrapped() {
    let long = "0123456789abcdefghijklmnopqrstuvwxyz".repeat(4);
    let form = STANDARD.encode(&long);
    for columns in [76, 64] {
        let lines: Vec<&str> = form
            .as_bytes()
            .chunks(columns)
            .map(|line| std::str::from_utf8(line).expect("ascii"))
            .collect();
        let shown = masked(&long, &format!("{}\n", lines.join("\n")));
        let left = shown.replace("[secret:S]", "");
        assert!(left.trim_matches(['\n', '=']).len() <= 8, "{shown}");
    }
}

/// How many of the wrapped forms show something else than the same form on one line.
fn wrapped_that_differ(secrets: &KnownSecrets) -> usize {
    let mut differ = 0;
    for before in 0..60 {
        let whole = format!("{}{VALUE} and more", "x".repeat(before));
        let hex: String = whole.bytes().map(|byte| format!("{byte:02x}")).collect();
        for form in [STANDARD.encode(&whole), hex.to_uppercase(), hex] {
            let on_one_line = byte_by_byte(secrets, &form);
            assert!(on_one_line.contains("[secret:S]"), "{form}");
            for (columns, end) in [(76, "\n"), (64, "\r\n"), (60, "\n"), (19, "\\n"), (7, "\n")] {
                let lines: Vec<_> = form.as_bytes().chunks(columns).collect();
                let text = String::from_utf8(lines.join(end.as_bytes())).expect("ascii");
                let shown = byte_by_byte(secrets, &text);
                assert_eq!(shown, secrets.mask_text(&text), "however it is cut: {text}");
                differ += usize::from(shown.replace(end, "") != on_one_line);
            }
        }
    }
    differ
}

#[test]
fn codes_that_a_tool_has_wrapped_in_the_middle_of_the_secret() {
    assert_eq!(wrapped_that_differ(&known(VALUE)), 0);
}

#[test]
fn the_suite_notices_a_mask_that_reads_line_by_line() {
    let mutant = known(VALUE).with_mutant(Mutant::LineByLine);
    assert!(wrapped_that_differ(&mutant) > 500);
}

#[test]
fn a_line_end_within_ordinary_text_stays() {
    let text = "one\ntwo\r\n\r\nthree\\nfour\n";
    assert_eq!(masked(VALUE, text), text);
}

#[test]
fn a_key_of_several_lines_however_its_lines_end() {
    for end in ["\n", "\r\n", " ", "\\n", "\\r\\n"] {
        let shown = masked(KEY, &format!("a {} z\n", KEY.replace('\n', end)));
        assert_eq!(shown, "a [secret:S] z\n", "{end:?}");
    }
    let traced = format!("+ echo '{}'\n", KEY.replace('\n', "\n> "));
    let shown = masked(KEY, &traced);
    for line in KEY.lines() {
        assert!(!shown.contains(line), "{shown}");
    }
    // A value from a file with the other line end, and a newline at its end.
    let windows = format!("{}\r\n", KEY.replace('\n', "\r\n"));
    assert_eq!(masked(&windows, &format!("a {KEY} z")), "a [secret:S] z");
}
