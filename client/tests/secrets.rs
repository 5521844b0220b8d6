//! Whatever is logged, by any crate and at any level, holds no password. A process of its own: the log is everybody's.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::sync::Mutex;
use std::time::Duration;

use leasehold::{Client, Credentials, admin};
use leasehold_trio::{ServerOptions, Trio};

const SECRETS: [&str; 3] = ["first-of-three-secrets", "second-of-three-secrets", "third-of-three-secrets"];

/// Every line that was logged.
struct Log(Mutex<String>);

static LOG: Log = Log(Mutex::new(String::new()));

impl log::Log for Log {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let line = format!("{} {}: {}\n", record.level(), record.target(), record.args());
        self.0.lock().unwrap().push_str(&line);
    }

    fn flush(&self) {}
}

#[tokio::test(flavor = "multi_thread")]
async fn no_password_is_logged() {
    log::set_logger(&LOG).unwrap();
    log::set_max_level(log::LevelFilter::Trace);
    let [first, second, wrong] = SECRETS;
    let trio = Trio::start_with(ServerOptions::default().setting("requirepass", first)).unwrap();
    admin::fresh(common::builder(&trio)).await.unwrap();

    let word = std::sync::Arc::new(Mutex::new(first));
    let kept = std::sync::Arc::clone(&word);
    let urls = trio.servers().iter().map(|server| format!("redis://127.0.0.1:{}", server.port()));
    let builder =
        Client::builder().endpoints(urls).connect_timeout(Duration::from_secs(10)).credentials(move |_| {
            std::future::ready(Ok::<_, std::io::Error>(Credentials::password(*kept.lock().unwrap())))
        });
    let client = common::connect(builder.clone()).await;
    let lease = client.lease("job").acquire().await.unwrap();
    for server in trio.servers() {
        server.command(&["CONFIG", "SET", "requirepass", second]).unwrap();
    }
    *word.lock().unwrap() = wrong;
    client.reauthenticate().await.unwrap_err();
    let refused = builder.connect_timeout(Duration::from_millis(500)).connect().await.unwrap_err();
    *word.lock().unwrap() = second;
    client.reauthenticate().await.unwrap();
    lease.release().await.unwrap();

    let logged = LOG.0.lock().unwrap().clone();
    for told in ["leasehold::", "fred::", "endpoint is ready", "WRONGPASS"] {
        assert!(logged.contains(told), "the log is not seen any more: {told}");
    }
    for text in [logged, format!("{refused} {refused:?}")] {
        let found = text.lines().find(|line| SECRETS.iter().any(|secret| line.contains(secret)));
        assert_eq!(found, None, "a password shows");
    }
}
