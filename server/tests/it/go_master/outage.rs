//! Stores that do not answer, and clients that do not ask: a Go master waits for them without end.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use sandclock_testkit::services::Proxy;
use serde_json::json;

use super::{Fleet, PATIENCE, get, post, refusal, save};
use crate::product::Product;
use crate::stores::Stores;

#[tokio::test(flavor = "multi_thread")]
async fn w29_stores_that_do_not_answer_keep_nobody_waiting() {
    let shared = Stores::shared();
    let mongo = shared.mongo.strip_prefix("mongodb://").unwrap();
    let mongo = Proxy::to(mongo.split('/').next().unwrap()).await;
    let etcd = Proxy::to(&shared.etcd).await;
    let uri = format!("mongodb://{}/?directConnection=true", mongo.address());
    let stores = Stores::of(&etcd.address(), &uri);
    let fleet = Fleet { stores };
    let mut file = fleet.master_json();
    file.as_object_mut().unwrap().remove("apiwritetimeout");
    file["apiWriteTimeout"] = json!(2000);
    let args = ["--config", "master.json", "--go-open"];
    let server = Product::in_place_of_a_master(&file, &args, &fleet.stores.variables());
    let job = r#"{"name":"j","command":"true","cronExpr":"@daily"}"#;
    assert!(save(&server, job).body.starts_with(r#"{"errno":0,"#));

    etcd.silence();
    mongo.silence();
    let answers = [
        save(&server, job),
        post(&server, "/job/delete", "name=j"),
        get(&server, "/job/list"),
        post(&server, "/job/kill", "name=j"),
        get(&server, "/job/log?name=j"),
        get(&server, "/worker/list"),
    ];
    assert!(answers.iter().all(|answer| answer.status == 200));
    let told: Vec<String> = answers.iter().map(refusal).collect();
    // Within the time of the configuration: the stores' own calls take 5 s and more.
    let etcd = "the store does not answer now: the coordination store (etcd): no answer in time";
    let mongo = "the store does not answer now: the run log (MongoDB): no answer in time";
    for (told, part) in told.iter().zip([etcd, etcd, etcd, etcd, mongo, etcd]) {
        assert!(told.starts_with(part), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn w29_a_request_that_does_not_arrive_is_given_up() {
    let fleet = Fleet::new();
    let mut file = fleet.master_json();
    file["apiReadTimeout"] = json!(300);
    let args = ["-config=master.json", "--go-open"];
    let server = Product::in_place_of_a_master(&file, &args, &fleet.stores.variables());
    let port = server.url.rsplit(':').next().unwrap();
    let mut stream = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = b"POST /job/save HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 100\r\n\r\njob=";
    stream.write_all(head).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let body = r#"{"errno":-1,"msg":"the request did not arrive within 300 ms","data":null}"#;
    assert!(answer.ends_with(body), "{answer}");
}
