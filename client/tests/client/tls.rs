//! TLS: who is trusted, and who is let in.

use std::time::Duration;

use leasehold::{Client, ClientBuilder, ConfigError, ConnectError, Tls, admin};
use leasehold_trio::{Server, ServerOptions, TlsFiles, Trio};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::common;

/// Whoever signs certificates.
struct Authority {
    root: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key.
struct Issued {
    certificate: String,
    key: String,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        let root = params.self_signed(&key).unwrap().pem();
        Self { root, issuer: Issuer::new(params, key) }
    }

    /// For a server of this name or address, or for a client.
    fn issue(&self, name: &str) -> Issued {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
        Issued { certificate, key: key.serialize_pem() }
    }

    fn tls(&self) -> Tls {
        Tls::new().roots_pem(self.root.as_str())
    }
}

/// Three servers with certificates for `name`.
struct Encrypted {
    trio: Trio,
    authority: Authority,
    _files: TempDir,
}

impl Encrypted {
    fn start(name: &str, client_certificates: bool) -> Self {
        let authority = Authority::new("ours");
        let Issued { certificate, key } = authority.issue(name);
        let files = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = files.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let tls = TlsFiles {
            certificate: write("server.pem", &certificate),
            key: write("server.key", &key),
            roots: write("roots.pem", &authority.root),
            client_certificates,
        };
        let trio = Trio::start_with(ServerOptions { tls: Some(tls), ..ServerOptions::default() }).unwrap();
        Self { trio, authority, _files: files }
    }

    fn builder(&self, host: &str) -> ClientBuilder {
        let port = |server: &Server| server.tls_port().unwrap();
        let urls = self.trio.servers().iter().map(|server| format!("rediss://{host}:{}", port(server)));
        Client::builder()
            .endpoints(urls)
            .connect_timeout(Duration::from_secs(10))
            .request_timeout(common::REQUEST_TIMEOUT)
    }
}

/// Acquires and releases a lease.
async fn works(builder: ClientBuilder) -> Client {
    let client = common::connect(builder).await;
    let lease = client.lease("job").acquire().await.unwrap();
    lease.validate().await.unwrap();
    lease.release().await.unwrap();
    client
}

/// The reasons why no endpoint could be reached. All must be the same: servers are alike.
async fn unreachable(builder: ClientBuilder) -> String {
    let error = builder.connect_timeout(Duration::from_secs(1)).connect().await.unwrap_err();
    let ConnectError::NoQuorum { endpoints, .. } = &error else { panic!("{error}") };
    let reasons: Vec<_> = endpoints.0.iter().map(|endpoint| endpoint.reason.as_str()).collect();
    assert!(reasons.len() == 3 && reasons.iter().all(|reason| *reason == reasons[0]), "{error}");
    reasons[0].to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_signed_by_a_trusted_root_is_used_by_name_and_by_address() {
    for host in ["localhost", "127.0.0.1"] {
        let servers = Encrypted::start(host, false);
        let builder = servers.builder(host).tls(servers.authority.tls());
        admin::fresh(builder.clone()).await.unwrap();
        let _client = works(builder).await;
        for server in servers.trio.servers() {
            let clients = server.command(&["CLIENT", "LIST"]).unwrap().to_string();
            let encrypted = format!("laddr=127.0.0.1:{} ", server.tls_port().unwrap());
            assert!(clients.contains(&encrypted), "nobody came by TLS: {clients}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_root_among_several_is_enough() {
    let servers = Encrypted::start("localhost", false);
    let other = Authority::new("somebody else").root;
    let both = Tls::new().roots_pem(format!("{other}{}", servers.authority.root));
    admin::fresh(servers.builder("localhost").tls(both)).await.unwrap();
    works(servers.builder("localhost").tls(servers.authority.tls().roots_pem(other))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_signed_by_somebody_else_is_refused() {
    let servers = Encrypted::start("localhost", false);
    // A root that was made anew has the same name, and another key.
    for name in ["somebody else", "ours"] {
        let reason = unreachable(servers.builder("localhost").tls(Authority::new(name).tls())).await;
        let told = ["no root that is trusted here", "Tls::roots_pem"];
        assert!(told.iter().all(|word| reason.contains(word)), "{reason}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_own_roots_those_of_the_system_count() {
    let servers = Encrypted::start("localhost", false);
    let error =
        servers.builder("localhost").connect_timeout(Duration::from_secs(1)).connect().await.unwrap_err();
    // A system without any roots says so before it sends anything.
    assert!(
        error.to_string().contains("name its root") || error.to_string().contains("name your own"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_for_another_host_is_refused() {
    let servers = Encrypted::start("lease.example", false);
    for host in ["localhost", "127.0.0.1"] {
        let reason = unreachable(servers.builder(host).tls(servers.authority.tls())).await;
        assert!(reason.contains("for another host"), "{reason}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_with_a_certificate_is_let_in_where_one_is_needed() {
    let servers = Encrypted::start("localhost", true);
    let Issued { certificate, key } = servers.authority.issue("service");
    let builder = servers.builder("localhost").tls(servers.authority.tls().identity_pem(certificate, key));
    admin::fresh(builder.clone()).await.unwrap();
    works(builder).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_without_a_certificate_is_told_that_one_is_needed() {
    let servers = Encrypted::start("localhost", true);
    let reason = unreachable(servers.builder("localhost").tls(servers.authority.tls())).await;
    assert!(reason.contains("Tls::identity_pem"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_whose_certificate_nobody_there_trusts_is_told() {
    let servers = Encrypted::start("localhost", true);
    let Issued { certificate, key } = Authority::new("somebody else").issue("stranger");
    let tls = servers.authority.tls().identity_pem(certificate, key);
    let reason = unreachable(servers.builder("localhost").tls(tls)).await;
    assert!(reason.contains("this client's certificate"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_answers_in_the_clear_is_said_to_speak_no_tls() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let plain = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.writable().await.unwrap();
            let refusal = b"-ERR Protocol error: unbalanced quotes in request\r\n";
            assert_eq!(stream.try_write(refusal).unwrap(), refusal.len());
        }
    });
    let builder = Client::builder().endpoints([format!("rediss://localhost:{port}")]);
    let builder = builder.tls(Authority::new("ours").tls()).connect_timeout(Duration::from_secs(1));
    let error = builder.connect().await.unwrap_err();
    assert!(error.to_string().contains("does not speak TLS"), "{error}");
    assert!(!plain.is_finished(), "{:?}", plain.await);
    plain.abort();
}

#[tokio::test]
async fn what_is_no_certificate_or_key_is_said_to_be_none_and_no_key_shows() {
    let authority = Authority::new("ours");
    let Issued { certificate, key } = authority.issue("service");
    let stranger = authority.issue("stranger").key;
    let secret = "c2VjcmV0LXNlY3JldA==";
    let broken = format!("-----BEGIN PRIVATE KEY-----\n{secret}\n-----END PRIVATE KEY-----\n");
    for (tls, word) in [
        (Tls::new().roots_pem(""), "the roots hold no certificate"),
        (Tls::new().roots_pem("ca.pem"), "the roots hold no certificate"),
        (Tls::new().roots_pem(key.as_str()), "the roots hold no certificate"),
        (authority.tls().identity_pem("", key.as_str()), "the identity's certificates hold no certificate"),
        (authority.tls().identity_pem(certificate.as_str(), ""), "private key"),
        (authority.tls().identity_pem(certificate.as_str(), broken), "do not go together"),
        (authority.tls().identity_pem(certificate.as_str(), stranger), "do not go together"),
    ] {
        let builder = Client::builder().endpoints(["rediss://10.255.0.1"]).tls(tls);
        let shown = format!("{builder:?}");
        let error = builder.connect().await.unwrap_err();
        let ConnectError::Config(ConfigError::Tls { reason }) = &error else { panic!("{error}") };
        assert!(reason.contains(word), "{reason}");
        for text in [shown, error.to_string(), format!("{error:?}")] {
            assert!(!text.contains(secret) && !text.contains("PRIVATE KEY-----\n"), "{text}");
        }
    }
}
