//! Text from plugins, made fit for people: masked, on one line, and bounded.

use crate::secrets::KnownSecrets;

/// `text` without known secrets and control characters, at most `max` bytes. It is masked before it
/// is cut: a cut through a secret would leave a part that nobody recognises.
pub(crate) fn presentable(secrets: &KnownSecrets, text: &str, max: usize) -> String {
    let masked = secrets.mask_text(text);
    let mut out = String::with_capacity(masked.len().min(max));
    for char in masked.chars() {
        let char = if char.is_control() { ' ' } else { char };
        if out.len() + char.len_utf8() > max {
            break;
        }
        out.push(char);
    }
    out
}

/// Whether a reader sees every character of `text` where it stands: no control characters, and none
/// that hide or turn around what is near them.
pub(crate) fn is_plain(text: &str) -> bool {
    !text.chars().any(acts)
}

/// `text` with a sign in the place of each character that [`is_plain`] objects to.
pub(crate) fn plain(text: &str) -> String {
    let shown = text.chars();
    shown
        .map(|char| if acts(char) { '\u{fffd}' } else { char })
        .collect()
}

fn acts(char: char) -> bool {
    char.is_control()
        || matches!(
            char,
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}'
        )
}
