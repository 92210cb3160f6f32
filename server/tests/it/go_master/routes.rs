//! Five of the six routes, with the bytes that a Go master answers.

use serde_json::{Value, json};

use super::{FORM, Fleet, ask, get, post, save};

const SAVED: &str = r#"{"errno":0,"msg":"success","data":null}"#;

/// As a Go master stores and shows it.
const JOB: &str = r#"{"name":"job1","command":"echo a \u003e /dev/null \u0026\u0026 echo \"b\"","cronExpr":"*/2 * * * * * *"}"#;

#[tokio::test]
async fn a_job_is_saved_listed_and_deleted() {
    let fleet = Fleet::new();
    let (server, mut raw) = (fleet.master(), fleet.raw().await);
    assert_eq!(
        get(&server, "/job/list").body,
        r#"{"errno":0,"msg":"success","data":[]}"#
    );

    let job = r#"{"name":"job1","command":"echo a > /dev/null && echo \"b\"","cronExpr":"*/2 * * * * * *"}"#;
    let first = save(&server, job);
    assert_eq!((first.status, first.body.as_str()), (200, SAVED));
    assert_eq!(raw.get("jobs", "job1").await.as_deref(), Some(job));

    let with_old = format!(r#"{{"errno":0,"msg":"success","data":{JOB}}}"#);
    let changed = r#"{"name":"job1","command":"true","cronExpr":"0 3 * * *"}"#;
    assert_eq!(save(&server, changed).body, with_old);
    assert_eq!(raw.get("jobs", "job1").await.as_deref(), Some(changed));

    save(
        &server,
        r#"{"name":"a/b","command":"true","cronExpr":"@daily"}"#,
    );
    let listed = format!(
        r#"{{"errno":0,"msg":"success","data":[{{"name":"a/b","command":"true","cronExpr":"@daily"}},{changed}]}}"#
    );
    let list = ask(&server, "PATCH /job/list", "", b"");
    assert_eq!(list.body, listed, "whatever the method");

    let deleted = post(&server, "/job/delete", "name=job1").body;
    assert_eq!(
        deleted,
        format!(r#"{{"errno":0,"msg":"success","data":{changed}}}"#)
    );
    assert_eq!(raw.get("jobs", "job1").await, None);
    assert_eq!(
        post(&server, "/job/delete", "name=job1").body,
        SAVED,
        "it is not there"
    );
    let queried = get(&server, "/job/delete?name=a/b");
    assert_eq!(queried.body, SAVED, "the query is not read");
    assert!(raw.get("jobs", "a/b").await.is_some());
}

#[tokio::test]
async fn json_is_taken_where_a_copy_of_the_master_takes_it() {
    let fleet = Fleet::new();
    let (server, mut raw) = (fleet.master(), fleet.raw().await);
    let job = r#"{"name":"json","command":"true","cronExpr":"*/5 * * * * *"}"#;
    let json = "Content-Type: application/json\r\n";
    assert_eq!(
        ask(&server, "POST /job/save", json, job.as_bytes()).body,
        SAVED
    );
    // Six fields end with the year here.
    assert_eq!(raw.get("jobs", "json").await.as_deref(), Some(job));
    let again = ask(&server, "PUT /job/save", FORM, job.as_bytes()).body;
    assert_eq!(
        again,
        format!(r#"{{"errno":0,"msg":"success","data":{job}}}"#)
    );
    let deleted = ask(&server, "DELETE /job/delete", json, br#"{"Name":"json"}"#).body;
    assert_eq!(deleted, again);
}

/// A Go master's save drops whatever it does not know.
#[tokio::test]
async fn what_a_form_does_not_name_is_kept() {
    let fleet = Fleet::new();
    let (server, mut raw) = (fleet.master(), fleet.raw().await);
    let other =
        r#"{"NAME":"of others","Command":"true","CRONEXPR":"@daily","remark":"kept","jobGroup":3}"#;
    raw.put("jobs", "of others", other).await;
    let listed = r#"{"errno":0,"msg":"success","data":[{"name":"of others","command":"true","cronExpr":"@daily"}]}"#;
    assert_eq!(get(&server, "/job/list").body, listed);
    let form = r#"{"nAmE":"of others","COMMAND":"echo new","cronexpr":"@hourly","jobGroup":4,"jobStatus":1}"#;
    let old = r#"{"errno":0,"msg":"success","data":{"name":"of others","command":"true","cronExpr":"@daily"}}"#;
    assert_eq!(
        save(&server, form).body,
        old,
        "a name that is there may be saved again"
    );
    let stored: Value = serde_json::from_str(&raw.get("jobs", "of others").await.unwrap()).unwrap();
    let want = json!({
        "name": "of others", "command": "echo new", "cronExpr": "@hourly",
        "remark": "kept", "jobGroup": 4, "jobStatus": 1,
    });
    assert_eq!(stored, want);

    let ours = json!({ "command": "true", "schedule": "@every 90s", "timeout_s": 7.0, "time_zone": "Asia/Tokyo" });
    let before = server.put_job("ours", &ours).await;
    let form = r#"{"name":"ours","command":"echo new","cronExpr":"0 0 3 * * * *"}"#;
    let old = r#"{"errno":0,"msg":"success","data":{"name":"ours","command":"true","cronExpr":"@every 90s"}}"#;
    assert_eq!(save(&server, form).body, old);
    let after = server.get("/jobs/ours").await;
    assert_eq!(after["command"], "echo new");
    assert_eq!(after["schedule"], "0 0 3 * * * *");
    for kept in ["timeout_s", "time_zone"] {
        assert_eq!(after[kept], before[kept], "{kept}");
        assert_eq!(after[kept], ours[kept], "{kept}");
    }
}

/// What a Go master cannot read it does not list; what it can read is shown as text, whatever its bytes.
#[tokio::test]
async fn one_bad_value_hides_no_other() {
    let fleet = Fleet::new();
    let (server, mut raw) = (fleet.master(), fleet.raw().await);
    raw.put("jobs", "bad", "{").await;
    raw.put("jobs", "wrong", r#"{"name":5}"#).await;
    raw.put("jobs", "good", r#"{"command":null,"cronExpr":"x"}"#)
        .await;
    let key = format!("/{}/jobs/lossy", fleet.stores.own);
    let bytes = b"{\"name\":\"lossy\",\"command\":\"echo \xff\",\"cronExpr\":\"\",\"sandclock\":7}";
    raw.client.put(key, bytes.as_slice(), None).await.unwrap();
    let listed =
        r#"{"errno":0,"msg":"success","data":[{"name":"good","command":"","cronExpr":"x"}]}"#;
    assert_eq!(get(&server, "/job/list").body, listed);
}

#[tokio::test]
async fn the_workers_are_those_that_are_registered() {
    let fleet = Fleet::new();
    let (server, mut raw) = (fleet.master(), fleet.raw().await);
    assert_eq!(
        get(&server, "/worker/list").body,
        r#"{"errno":0,"msg":"success","data":[]}"#
    );
    raw.put("workers", "192.0.2.9", "").await;
    raw.put("workers", "192.0.2.10", "").await;
    let listed = r#"{"errno":0,"msg":"success","data":["192.0.2.10","192.0.2.9"]}"#;
    assert_eq!(get(&server, "/worker/list").body, listed);
}
