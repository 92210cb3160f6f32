//! What a pattern is when it runs. Patterns are ECMAScript's, whose `\d`, `\w` and `\s` are a few characters each;
//! `regex` means those of all scripts by them, and that compiles to many times as much.

/// The pattern that `boon` compiles in place of one: with the classes of ECMAScript written out.
pub(super) fn as_run(pattern: &str) -> String {
    let mut run = String::with_capacity(pattern.len());
    let mut rest = pattern.chars();
    while let Some(char) = rest.next() {
        if char != '\\' {
            run.push(char);
            continue;
        }
        // What follows a backslash belongs to it, a second one too.
        let Some(escaped) = rest.next() else {
            run.push(char);
            break;
        };
        match class(escaped) {
            Some(class) => run.push_str(class),
            None => run.extend([char, escaped]),
        }
    }
    run
}

/// Without characters that act in a comment of a pattern (`(?x)`), where a class is left as it is.
fn class(escaped: char) -> Option<&'static str> {
    match escaped {
        'd' => Some("[0-9]"),
        'D' => Some("[^0-9]"),
        'w' => Some("[A-Za-z0-9_]"),
        'W' => Some("[^A-Za-z0-9_]"),
        's' => Some(r"[\x20\t\n\r\x0b\x0c\u00a0\ufeff\u2003\u2029]"),
        'S' => Some(r"[^\x20\t\n\r\x0b\x0c\u00a0\ufeff\u2003\u2029]"),
        _ => None,
    }
}
