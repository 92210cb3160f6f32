//! What a native plugin keeps and asks: values in memory, and the answers that a test has given to its targets.

use core::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};

use crate::http::Response;

/// A request that a plugin has made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The target.
    pub target: String,
    /// What was put behind its address.
    pub path: String,
    /// The plugin's headers.
    pub headers: Vec<(String, String)>,
    /// The body of a POST; none for a GET.
    pub body: Option<Vec<u8>>,
}

/// What stands in for the effects of a host.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    pub(crate) values: RefCell<BTreeMap<String, Vec<u8>>>,
    /// The answers of each target, the next one first.
    pub(crate) answers: RefCell<BTreeMap<String, VecDeque<Response>>>,
    pub(crate) requests: RefCell<Vec<Request>>,
}

impl Effects {
    fn answer(&self, request: Request) -> Result<Response, String> {
        let mut answers = self.answers.borrow_mut();
        let left = answers.get_mut(&request.target);
        let left =
            left.ok_or_else(|| format!("denied: the test has no target {:?}", request.target))?;
        let answer = left.pop_front();
        self.requests.borrow_mut().push(request);
        answer.ok_or_else(|| "unavailable: the test has no further answer".to_owned())
    }
}

/// The interface `kv`. Times to live are not counted: a mock's clock stands still.
pub(crate) mod kv {
    use crate::mock::host;

    fn check(key: &str, value: Option<&[u8]>, ttl_s: Option<u32>) -> Result<(), String> {
        let value = value.map_or(0, <[u8]>::len);
        match (key.len(), value, ttl_s) {
            (0 | 257.., ..) => Err(format!(
                "limit: the key has {} bytes: 1 to 256 are accepted",
                key.len()
            )),
            (_, 65_537.., _) => Err(format!(
                "limit: the value has {value} bytes: at most 65536 are kept"
            )),
            (_, _, Some(0)) => {
                Err("limit: the time to live is 0: leave it out, or give more".to_owned())
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn get(key: &str) -> Result<Option<Vec<u8>>, String> {
        check(key, None, None)?;
        Ok(host::effects(|effects| {
            effects.values.borrow().get(key).cloned()
        }))
    }

    pub(crate) fn swap(
        key: &str,
        expect: Option<&[u8]>,
        value: Option<&[u8]>,
        ttl_s: Option<u32>,
    ) -> Result<bool, String> {
        check(key, value, ttl_s)?;
        Ok(host::effects(|effects| {
            let mut values = effects.values.borrow_mut();
            if values.get(key).map(Vec::as_slice) != expect {
                return false;
            }
            match value {
                Some(value) => drop(values.insert(key.to_owned(), value.to_owned())),
                None => drop(values.remove(key)),
            }
            true
        }))
    }
}

/// The interface `http`.
pub(crate) mod http {
    use super::Request;
    use crate::http::Response;
    use crate::mock::host;

    type Headers = [(String, String)];

    pub(crate) fn get(target: &str, path: &str, headers: &Headers) -> Result<Response, String> {
        ask(target, path, headers, None)
    }

    pub(crate) fn post(
        target: &str,
        path: &str,
        headers: &Headers,
        body: &[u8],
    ) -> Result<Response, String> {
        ask(target, path, headers, Some(body.to_owned()))
    }

    fn ask(
        target: &str,
        path: &str,
        headers: &Headers,
        body: Option<Vec<u8>>,
    ) -> Result<Response, String> {
        let request = Request {
            target: target.to_owned(),
            path: path.to_owned(),
            headers: headers.to_owned(),
            body,
        };
        host::effects(|effects| effects.answer(request))
    }
}
