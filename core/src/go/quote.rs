//! A vector of arguments as shell text, for workers that know shell text only.

/// Text that a POSIX shell takes apart into exactly these arguments.
pub(super) fn shell_text(argv: &[String]) -> String {
    let words: Vec<String> = argv.iter().map(|arg| word(arg)).collect();
    words.join(" ")
}

fn word(arg: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_-./:@%+,".contains(&b);
    if !arg.is_empty() && arg.bytes().all(plain) {
        return arg.to_owned();
    }
    format!("'{}'", arg.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_takes_the_words_apart_as_they_were() {
        let table: &[(&[&str], &str)] = &[
            (&["/bin/true", "-x"], "/bin/true -x"),
            (&["echo", "", "a b"], "echo '' 'a b'"),
            (&["echo", "it's", "$HOME"], r"echo 'it'\''s' '$HOME'"),
            (&["A=1"], "'A=1'"),
        ];
        for (argv, text) in table {
            let argv: Vec<String> = argv.iter().map(|arg| (*arg).to_owned()).collect();
            assert_eq!(shell_text(&argv), *text);
        }
    }
}
