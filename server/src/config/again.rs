//! A configuration that was read again: what of it a running process takes, and what has to wait for its next start.

use serde_json::Value;

use super::Config;

impl Config {
    /// Takes from `new` what counts from now on. Returns the fields of `new` that count from the next start, without
    /// their values.
    pub fn adopt(&mut self, new: &Self) -> Vec<String> {
        self.alerts.clone_from(&new.alerts);
        self.api = new.api;
        self.sessions = new.sessions;
        self.oidc.clone_from(&new.oidc);
        self.retention = new.retention;
        self.worker.max_concurrent_runs = new.worker.max_concurrent_runs;
        self.worker.default_timeout_s = new.worker.default_timeout_s;
        self.worker.drain_s = new.worker.drain_s;
        let tree = |config: &Self| serde_json::to_value(config).unwrap_or_default();
        let mut differing = Vec::new();
        differ(&tree(self), &tree(new), "", &mut differing);
        differing
    }
}

/// Collects where two trees differ.
fn differ(one: &Value, other: &Value, path: &str, found: &mut Vec<String>) {
    let (Value::Object(one), Value::Object(other)) = (one, other) else {
        if one != other {
            found.push(path.to_owned());
        }
        return;
    };
    let added = other.keys().filter(|name| !one.contains_key(*name));
    for name in one.keys().chain(added) {
        let path = match path {
            "" => name.clone(),
            path => format!("{path}.{name}"),
        };
        let of =
            |tree: &serde_json::Map<String, Value>| tree.get(name).cloned().unwrap_or_default();
        differ(&of(one), &of(other), &path, found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_taken_is_named() {
        let mut counts = Config::default();
        let mut new = counts.clone();
        new.api.requests_per_s = 7;
        new.worker.drain_s = 5;
        assert!(counts.adopt(&new).is_empty());
        assert_eq!((counts.api.requests_per_s, counts.worker.drain_s), (7, 5));

        new.worker.labels.insert("zone".into(), "eu-1".into());
        new.behind_proxy = true;
        new.worker.max_concurrent_runs = 3;
        assert_eq!(counts.adopt(&new), ["behind_proxy", "worker.labels.zone"]);
        assert_eq!(counts.worker.max_concurrent_runs, 3);
        assert!(!counts.behind_proxy);
    }
}
