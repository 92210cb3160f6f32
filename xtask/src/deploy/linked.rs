//! What a built program is linked with: the C library and nothing else, so that it runs wherever that is.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::process;

/// The C library's own, the unwinder of Rust's panics, and what the kernel and the loader put in. Each is the name of
/// a file up to its version.
const ALLOWED: [&str; 5] = [
    "linux-vdso.so.",
    "libc.so.",
    "libm.so.",
    "libgcc_s.so.",
    "ld-linux-",
];

/// Asks the loader what the program needs.
///
/// # Errors
/// The libraries that it may not need, by name.
pub(crate) fn check(program: &Path) -> Result<()> {
    if !program.exists() {
        bail!("{} is missing: build it first", program.display());
    }
    let needed = process::output(Command::new("ldd").arg(program))?;
    let others = others(&needed);
    if !others.is_empty() {
        bail!("{} also needs {}", program.display(), others.join(", "));
    }
    Ok(())
}

/// The libraries among what `ldd` printed that are not allowed. Each line begins with one's name, or its path.
fn others(needed: &str) -> Vec<&str> {
    let names = needed.lines().filter_map(|line| {
        let path = line.split_whitespace().next()?;
        path.rsplit('/').next()
    });
    let allowed = |name: &str| ALLOWED.iter().any(|start| name.starts_with(start));
    names.filter(|name| !allowed(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_of_another_package_is_found() {
        let plain = "\tlinux-vdso.so.1 (0x00007ffc)\n\
                     \tlibgcc_s.so.1 => /lib/x86_64-linux-gnu/libgcc_s.so.1 (0x00007f)\n\
                     \tlibm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x00007f)\n\
                     \tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f)\n\
                     \t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n";
        assert!(others(plain).is_empty());
        let more = format!("{plain}\tlibssl.so.3 => not found\n");
        assert_eq!(others(&more), ["libssl.so.3"]);
    }
}
