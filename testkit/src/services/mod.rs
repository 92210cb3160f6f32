//! Real servers for tests, private to one test binary.
//!
//! A server listens on a free port of the loopback interface and keeps its data in a folder of its own in
//! memory or the temporary directory. It is started by the first test that asks and ends with the binary,
//! however that ends. A server that is not installed fails the test that wants it, by the command that gets it.

mod browser;
mod certificates;
mod etcd;
mod mail;
mod mongo;
mod nats;
mod oidc;
mod process;
mod proxy;

pub use browser::Chromedriver;
pub use certificates::Certificates;
pub use etcd::{Etcd, OwnEtcd};
pub use mail::Mail;
pub use mongo::{Mongo, OwnMongo};
pub use nats::Nats;
pub use oidc::OidcProvider;
pub use proxy::Proxy;
