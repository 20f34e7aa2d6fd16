//! A Learning Record Store, as far as the daemon needs one, and what a meeting says of it.

use aes::Aes256;
use aes::cipher::BlockModeEncrypt;
use aes::cipher::KeyIvInit;
use aes::cipher::block_padding::Pkcs7;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;
use sha2::Sha256;

use rcgen::BasicConstraints;
use rcgen::CertificateParams;
use rcgen::CertifiedIssuer;
use rcgen::IsCa;
use rcgen::KeyPair;
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::copy_bidirectional;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::daemon::Setup;
use super::receiver::Receiver;
use super::receiver::Request;

/// Where statements arrive when an endpoint has no path.
pub(crate) const STATEMENTS: &str = "/xAPI/statements";

/// A namespace.
pub(crate) const NAMESPACE: &str = "22946e5b-1860-4436-a025-cb133ca4c1d3";

/// A daemon that sends statements to this LRS.
pub(crate) fn with_lrs(setup: Setup, lrs: &Receiver) -> Setup {
    setup
        .env("XAPI_ENABLED", "true")
        .set("xapi.lrs.lrs_endpoint", lrs.url(""))
        .set("xapi.lrs.lrs_username", "admin")
        .set("xapi.lrs.lrs_password", "hunter2-of-the-server")
        .set("xapi.uuid_namespace", NAMESPACE)
}

/// The statements in requests, in order.
pub(crate) fn statements(requests: &[Request]) -> Vec<Value> {
    let read = |request: &Request| match serde_json::from_str(&request.body).expect("statements are JSON") {
        Value::Array(statements) => statements,
        statement => vec![statement],
    };
    requests.iter().flat_map(read).collect()
}

/// A text as `openssl aes-256-cbc -pass pass:SECRET -pbkdf2 -a -A` encrypts it, with a salt that is always the same.
pub(crate) fn encrypt(text: &str, secret: &str) -> String {
    let salt = b"NaClNaCl";
    let mut key_and_iv = [0; 48];
    pbkdf2::pbkdf2_hmac::<Sha256>(secret.as_bytes(), salt, 10_000, &mut key_and_iv);
    let (key, iv) = key_and_iv.split_at(32);
    let cipher = cbc::Encryptor::<Aes256>::new_from_slices(key, iv).unwrap();
    let encrypted = cipher.encrypt_padded_vec::<Pkcs7>(text.as_bytes());
    BASE64_STANDARD.encode([&b"Salted__"[..], salt, &encrypted].concat())
}

/// TLS before a receiver, with a certificate for `localhost` by an authority that nobody else knows.
#[derive(Debug)]
pub(crate) struct Tls {
    port: u16,
    /// The authority's certificate, in PEM.
    pub(crate) authority: String,
    accepting: JoinHandle<()>,
}

impl Tls {
    pub(crate) async fn before(receiver: &Receiver) -> Self {
        let mut authority = CertificateParams::new([]).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let server = CertificateParams::new(["localhost".to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let provider = rustls::crypto::ring::default_provider().into();
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_no_client_auth().with_single_cert(vec![server.der().clone()], key).unwrap();
        let acceptor = TlsAcceptor::from(std::sync::Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let behind = receiver.url("").trim_start_matches("http://").to_owned();
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, behind) = (acceptor.clone(), behind.clone());
                tokio::spawn(async move {
                    let mut stream = acceptor.accept(stream).await.ok()?;
                    let mut receiver = TcpStream::connect(behind).await.ok()?;
                    copy_bidirectional(&mut stream, &mut receiver).await.ok()
                });
            }
        });
        Self { port, authority: authority.pem(), accepting }
    }

    pub(crate) fn url(&self) -> String {
        format!("https://localhost:{}", self.port)
    }
}

impl Drop for Tls {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}
