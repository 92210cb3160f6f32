//! The protocol code of etcd, generated beforehand, so that a build needs no `protoc`.
//!
//! `etcd-client` generates its protocol code in its build script through the crate `tonic-prost-build`,
//! which runs the C++ program `protoc`. Whoever builds Sandclock would have to install that. The root
//! manifest therefore replaces that crate by this one (`[patch.crates-io]`), which holds what the generator
//! writes for exactly one release of `etcd-client` and hands it out. A patch works for `cargo run`,
//! `cargo install` and offline alike, and the build is shorter by the compiler's dependencies.
//!
//! `cargo xtask protos` writes `generated/` anew after an update of `etcd-client`; until then the build of
//! another release is refused here. The generated code is that of etcd's and etcd-client's `.proto` files
//! (Apache-2.0), without their comments.

use std::path::PathBuf;
use std::{env, fs, io};

/// The release of `etcd-client` that `generated/` was made from.
const MADE_FOR: &str = "etcd-client 0.21.1";

/// The code of each protobuf package, under the file name that the generator gives it.
const GENERATED: &[(&str, &str)] = &[
    ("authpb.rs", include_str!("generated/authpb.inc")),
    (
        "etcdserverpb.rs",
        include_str!("generated/etcdserverpb.inc"),
    ),
    ("mvccpb.rs", include_str!("generated/mvccpb.inc")),
    (
        "v3electionpb.rs",
        include_str!("generated/v3electionpb.inc"),
    ),
    ("v3lockpb.rs", include_str!("generated/v3lockpb.inc")),
];

/// As the generator's function of this name.
pub fn configure() -> Builder {
    Builder { server: false }
}

/// As the generator's type of this name, as far as the build script uses it.
#[derive(Debug)]
pub struct Builder {
    server: bool,
}

impl Builder {
    /// Whether code for servers is wanted, which is not there.
    #[must_use]
    pub fn build_server(mut self, enable: bool) -> Self {
        self.server = enable;
        self
    }

    /// Writes the code that was generated beforehand into the folder of the build.
    ///
    /// # Errors
    /// If the caller is not the crate that the code was made for, wants what is not there, or the folder
    /// cannot be written to.
    pub fn compile_protos<P>(self, _protos: &[P], _includes: &[P]) -> io::Result<()> {
        let variable = |name: &str| env::var(name).unwrap_or_default();
        let caller = format!(
            "{} {}",
            variable("CARGO_PKG_NAME"),
            variable("CARGO_PKG_VERSION")
        );
        if caller != MADE_FOR || self.server {
            return Err(io::Error::other(format!(
                "the protocol code was generated for {MADE_FOR} without servers, and {caller} is built: \
                 run cargo xtask protos"
            )));
        }
        let folder = PathBuf::from(variable("OUT_DIR"));
        for (name, code) in GENERATED {
            fs::write(folder.join(name), code)?;
        }
        Ok(())
    }
}
