//! The forms in which a secret turns up in output although nobody meant to show it.
//!
//! A value is printed as it is, line by line, with another line end, quoted by a shell that traces,
//! as part of JSON or of a URL, in hexadecimal or base64. Base64 is the odd one: what a value looks
//! like depends on how many bytes stand before it, modulo three, so there are three forms of it, and
//! of each only the characters that the value alone decides.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::MIN_SECRET_BYTES;

/// Lines of a multi-line value from this length on are masked by themselves.
const MIN_LINE_BYTES: usize = 8;
/// Where `base64` of coreutils and PEM break their lines.
const BASE64_COLUMNS: [usize; 2] = [76, 64];

const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const URL_SAFE: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// All forms of `value` that are masked, the value itself among them; none shorter than
/// [`MIN_SECRET_BYTES`].
pub(super) fn forms(value: &[u8]) -> BTreeSet<Vec<u8>> {
    let mut forms = BTreeSet::new();
    for plain in line_forms(value) {
        forms.extend(text_forms(&plain));
        forms.extend(wrapped_base64(&plain));
        forms.insert(plain);
    }
    forms.extend(long_lines(value));
    forms.retain(|form| form.len() >= MIN_SECRET_BYTES);
    forms.extend(codes(value));
    forms
}

/// Those of the forms that tools wrap: their characters stand for bytes alone, so a line end between two of them
/// means nothing.
pub(super) fn codes(value: &[u8]) -> BTreeSet<Vec<u8>> {
    let mut codes = BTreeSet::new();
    for plain in line_forms(value) {
        codes.extend([hex(&plain, false), hex(&plain, true)]);
        for alphabet in [STANDARD, URL_SAFE] {
            codes.extend((0..3).map(|shift| base64(&plain, shift, alphabet)));
        }
    }
    codes.retain(|code| code.len() >= MIN_SECRET_BYTES);
    codes
}

/// The value without surrounding white space, and with each kind of line end.
fn line_forms(value: &[u8]) -> BTreeSet<Vec<u8>> {
    let unix = replace(value, b"\r\n", b"\n");
    let mut forms = BTreeSet::from([value.to_vec()]);
    for end in [b"\n".as_slice(), b"\r\n", b" "] {
        let form = replace(&unix, b"\n", end);
        forms.insert(form.trim_ascii().to_vec());
        forms.insert(form);
    }
    forms
}

fn long_lines(value: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    value
        .split(|byte| *byte == b'\n')
        .map(<[u8]>::trim_ascii)
        .filter(|line| line.len() >= MIN_LINE_BYTES)
        .map(<[u8]>::to_vec)
}

/// Escapes of JSON (twice too), shells, XML and URLs.
fn text_forms(value: &[u8]) -> Vec<Vec<u8>> {
    let mut forms = vec![
        replace(value, b"'", br"'\''"),
        replace(value, b"'", br"\'"),
        xml(value),
    ];
    for slash in [false, true] {
        let escaped = json(value, slash);
        forms.push(json(&escaped, slash));
        forms.push(escaped);
    }
    // JSON is text: only a value that is text has forms with escapes for what is not ASCII.
    if let Ok(text) = std::str::from_utf8(value) {
        forms.extend([false, true].map(|upper| json_ascii(text, upper)));
        forms.push(json_for_html(text));
    }
    for kept in [
        b"-._~".as_slice(),
        b"-._~/",
        b"-._~!*'()",
        b"-._~;,/?:@&=+$#!*'()",
    ] {
        for upper in [true, false] {
            let escaped = percent(value, kept, upper);
            forms.push(replace(&escaped, b"%20", b"+"));
            forms.push(escaped);
        }
    }
    forms
}

fn replace(value: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some((first, after)) = rest.split_first() {
        if let Some(tail) = rest.strip_prefix(from) {
            out.extend_from_slice(to);
            rest = tail;
        } else {
            out.push(*first);
            rest = after;
        }
    }
    out
}

/// RFC 8259, section 7, with the short escapes; bytes beyond ASCII as they are.
fn json(value: &[u8], escape_slash: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len());
    for byte in value {
        match byte {
            b'"' => out.extend_from_slice(br#"\""#),
            b'\\' => out.extend_from_slice(br"\\"),
            b'/' if escape_slash => out.extend_from_slice(br"\/"),
            b'\n' => out.extend_from_slice(br"\n"),
            b'\r' => out.extend_from_slice(br"\r"),
            b'\t' => out.extend_from_slice(br"\t"),
            0x08 => out.extend_from_slice(br"\b"),
            0x0c => out.extend_from_slice(br"\f"),
            0..0x20 => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => out.push(*byte),
        }
    }
    out
}

/// As writers do that keep to ASCII, Python's `json.dumps` for one.
fn json_ascii(text: &str, upper: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut units = [0; 2];
    for char in text.chars() {
        if char.is_ascii() {
            out.extend(json(&[char as u8], false));
            continue;
        }
        for unit in char.encode_utf16(&mut units) {
            let escape = if upper {
                format!("\\u{unit:04X}")
            } else {
                format!("\\u{unit:04x}")
            };
            out.extend_from_slice(escape.as_bytes());
        }
    }
    out
}

/// As writers do that expect to stand in a page, Go's `encoding/json` for one.
fn json_for_html(text: &str) -> Vec<u8> {
    let escaped = json(text.as_bytes(), false);
    [("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026")]
        .iter()
        .fold(escaped, |value, (from, to)| {
            replace(&value, from.as_bytes(), to.as_bytes())
        })
}

fn xml(value: &[u8]) -> Vec<u8> {
    [
        ("&", "&amp;"),
        ("<", "&lt;"),
        (">", "&gt;"),
        ("\"", "&quot;"),
        ("'", "&#39;"),
    ]
    .iter()
    .fold(value.to_vec(), |value, (from, to)| {
        replace(&value, from.as_bytes(), to.as_bytes())
    })
}

/// RFC 3986, section 2.1: all but letters, digits and `kept` as `%XX`.
fn percent(value: &[u8], kept: &[u8], upper: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len());
    for byte in value {
        if byte.is_ascii_alphanumeric() || kept.contains(byte) {
            out.push(*byte);
        } else {
            out.push(b'%');
            out.extend(hex(&[*byte], upper));
        }
    }
    out
}

fn hex(value: &[u8], upper: bool) -> Vec<u8> {
    let mut out = String::with_capacity(value.len() * 2);
    for byte in value {
        let _ = if upper {
            write!(out, "{byte:02X}")
        } else {
            write!(out, "{byte:02x}")
        };
    }
    out.into_bytes()
}

/// The characters of base64 (RFC 4648, section 4) that `value` alone decides when `shift` bytes of
/// something else, modulo three, stand before it.
fn base64(value: &[u8], shift: usize, alphabet: &[u8; 64]) -> Vec<u8> {
    let first = (8 * shift).div_ceil(6);
    let end = 8 * (shift + value.len()) / 6;
    let byte_at = |index: usize| {
        let byte = index.checked_sub(shift).and_then(|index| value.get(index));
        u16::from(byte.copied().unwrap_or(0))
    };
    (first..end)
        .filter_map(|char| {
            let bit = char * 6;
            let pair = (byte_at(bit / 8) << 8) | byte_at(bit / 8 + 1);
            let sextet = (pair >> (10 - bit % 8)) & 0x3f;
            alphabet.get(usize::from(sextet)).copied()
        })
        .collect()
}

/// The lines that a tool makes of a value that it encodes by itself, for when something else stands between them, such as
/// the time before each.
fn wrapped_base64(value: &[u8]) -> Vec<Vec<u8>> {
    let whole = base64(value, 0, STANDARD);
    let lines = |columns| whole.chunks(columns).map(<[u8]>::to_vec);
    BASE64_COLUMNS
        .into_iter()
        .filter(|columns| whole.len() > *columns)
        .flat_map(lines)
        .filter(|line| line.len() >= MIN_LINE_BYTES)
        .collect()
}
