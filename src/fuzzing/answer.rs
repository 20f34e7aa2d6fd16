//! What a receiver answers.

use std::sync::LazyLock;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use url::Url;

use crate::config;
use crate::delivery::guard::Guard;
use crate::delivery::policy::Policy;
use crate::delivery::sender::Authorities;
use crate::delivery::sender::Post;
use crate::delivery::sender::Sender;
use crate::fuzzing::RUNTIME;
use crate::fuzzing::plain;

/// An address that is this machine's, and nobody else listens on.
const RECEIVER: &str = "127.83.61.7";

/// What a receiver answers, to a callback and to what it redirects that to.
pub fn answer(data: &[u8]) {
    static SENDER: LazyLock<Sender> = LazyLock::new(|| {
        let mut config = plain();
        // Wherever it redirects to, only this test's own receivers are called.
        config.hooks.callback_policy.profile = config::Profile::ListedOnly;
        config.hooks.callback_policy.allow = config::Destination::parse(RECEIVER).into_iter().collect();
        let guard = Guard::new(Policy::of_callbacks(&config));
        Sender::new(Duration::from_secs(1), &Authorities::Only(Vec::new()), Some(guard)).expect("TLS can be set up")
    });
    RUNTIME.block_on(async {
        let listener = TcpListener::bind((RECEIVER, 0)).await.expect("there are ports");
        let port = listener.local_addr().expect("it is bound").port();
        let serve = async {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.read(&mut [0; 1024]).await;
                let _ = stream.write_all(data).await;
            }
        };
        let url = Url::parse(&format!("http://{RECEIVER}:{port}/")).expect("it is one");
        let post = Post { url: &url, content_type: "text/plain", headers: &[], body: "x".into(), authorization: None };
        tokio::select! {
            () = serve => {}
            answered = SENDER.send(post) => {
                let _ = (answered.to_string(), answered.answer.is_delivered(), answered.answer.reason());
            }
        }
    });
}
