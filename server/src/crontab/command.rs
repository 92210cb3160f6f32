//! What stands behind the schedule: the command, and its standard input, which a `%` begins.

/// The shells that know here-documents and `exec` with nothing but a redirection.
const SHELLS: [&str; 8] = ["sh", "bash", "dash", "ash", "ksh", "mksh", "zsh", "rbash"];

/// The command and what it reads. The first `%` without a backslash ends the command; each further one is a
/// newline. A backslash before a `%` is taken away, every other one stays. Input ends with a newline.
pub(super) fn split(text: &str) -> (String, String) {
    let mut command = String::new();
    let mut rest = text.chars();
    let mut escaped = false;
    for c in rest.by_ref() {
        match c {
            '%' if escaped => {
                command.pop();
                command.push('%');
            }
            '%' => break,
            _ => command.push(c),
        }
        escaped = c == '\\' && !escaped;
    }
    (command, input(rest.as_str()))
}

/// Here a backslash makes no other one plain: `\\%` is a backslash and a percent sign.
fn input(text: &str) -> String {
    let mut input = String::new();
    let mut escaped = false;
    for c in text.chars() {
        let c = match c {
            '%' if !escaped => '\n',
            _ if escaped && c != '%' => {
                input.push('\\');
                c
            }
            _ => c,
        };
        escaped = c == '\\';
        if !escaped {
            input.push(c);
        }
    }
    if escaped {
        input.push('\\');
    }
    if !input.is_empty() && !input.ends_with('\n') {
        input.push('\n');
    }
    input
}

/// Whether [`with_input`] works in this shell.
pub(super) fn has_here_documents(shell: &str) -> bool {
    let name = shell.rsplit('/').next().unwrap_or(shell);
    SHELLS.contains(&name)
}

/// The command as a shell's text that first makes `input` the shell's own standard input. The command itself stays
/// the last thing in the text, as it was written.
pub(super) fn with_input(command: &str, input: &str) -> String {
    if input.is_empty() {
        return command.to_owned();
    }
    let taken = |mark: &String| input.lines().any(|line| line == mark);
    let marks = std::iter::once("INPUT".to_owned()).chain((1..).map(|at| format!("INPUT{at}")));
    let mark = marks
        .into_iter()
        .find(|mark| !taken(mark))
        .unwrap_or_default();
    format!("exec <<'{mark}'\n{input}{mark}\n{command}")
}
