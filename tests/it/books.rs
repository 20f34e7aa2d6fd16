//! The books of each hook, read over the library's interface: they balance at any moment, and agree with what the
//! receivers saw.

use std::collections::BTreeMap;
use std::collections::HashMap;

use bbb_webhooks::app::App;
use bbb_webhooks::books::Account;
use bbb_webhooks::config;
use bbb_webhooks::config::Sources;
use redis::cmd;
use serde_json::json;

use crate::harness::Algorithm;
use crate::harness::DOMAIN;
use crate::harness::Meeting;
use crate::harness::Receiver;
use crate::harness::Redis;
use crate::harness::Reply;
use crate::harness::SECRET;
use crate::harness::api_checksum;
use crate::harness::eventually;
use crate::harness::free_port;
use crate::harness::until;

/// The daemon within this process.
struct Inside {
    app: App,
    port: u16,
}

impl Inside {
    async fn start(redis: &Redis, hooks: serde_json::Value) -> Self {
        let port = free_port();
        let environment = [
            ("SHARED_SECRET", SECRET.to_owned()),
            ("SERVER_DOMAIN", DOMAIN.to_owned()),
            ("SERVER_PORT", port.to_string()),
            ("REDIS_PORT", redis.port().to_string()),
            ("NODE_CONFIG", json!({"hooks": hooks}).to_string()),
        ];
        let environment: BTreeMap<_, _> =
            environment.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let config = config::load(&Sources { environment, ..Sources::default() }).unwrap().config;
        // Another test may have done it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self { app: App::start(config).await.unwrap(), port }
    }

    async fn call(&self, method: &str, query: &str) -> String {
        let checksum = api_checksum(Algorithm::Sha1, method, query);
        let url = format!("http://127.0.0.1:{}/bigbluebutton/api/{method}?{query}&checksum={checksum}", self.port);
        reqwest::get(url).await.unwrap().text().await.unwrap()
    }

    /// Creates a hook for a URL; its id.
    async fn hook(&self, url: &str) -> String {
        let answer = self.call("hooks/create", &format!("callbackURL={url}")).await;
        let id = answer.split("<hookID>").nth(1).and_then(|rest| rest.split('<').next());
        id.unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    /// The accounts by hook, all of which must balance.
    fn accounts(&self) -> HashMap<String, Account> {
        let books = self.app.journal().books().into_iter();
        books
            .map(|(id, books)| {
                let account = books.account();
                assert!(account.balances(), "hook {id}: {account:?}");
                (id.to_string(), account)
            })
            .collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_books_balance_and_agree_with_what_receivers_saw() {
    let redis = Redis::start().await;
    let receiver = Receiver::start().await;
    let settings = json!({"retryIntervals": [1, 1, 200], "queueSize": 50});
    let mut inside = Inside::start(&redis, settings).await;
    let good = inside.hook(&receiver.url("/good")).await;
    let flaky = inside.hook(&receiver.url("/flaky")).await;
    let picky = inside.hook(&receiver.url("/picky")).await;
    let hangs = inside.hook(&receiver.url("/hangs")).await;
    receiver.answer("/flaky", (0..60).map(|n| Reply::status(if n % 3 == 0 { 500 } else { 200 })).chain([Reply::ok()]));
    receiver.refuse("/picky", Some("bad"));
    receiver.answer("/hangs", [Reply::hang()]);

    let (math, bad) = (Meeting::new("math-101"), Meeting::new("bad"));
    redis.publish_all(&[math.created(), bad.created()]).await;
    for n in 0..200_usize {
        redis.publish(&math.chat("ada", &n.to_string())).await;
        inside.accounts();
        if n % 20 == 0 {
            // No faster than a good receiver can take it.
            receiver.wait("/good", n + 2).await;
        }
    }
    let published = 202;
    let account = async |id: &str, is_done: fn(&Account) -> bool| {
        eventually(format!("the account of hook {id} is as it should be"), async || {
            inside.accounts().remove(id).filter(&is_done)
        })
        .await
    };
    let account_of_good = account(&good, |a| a.delivered == 202).await;
    assert_eq!((account_of_good.matched, account_of_good.unfinished), (published, 0));
    assert_eq!(receiver.count("/good"), 202);

    let account_of_flaky = account(&flaky, |a| a.unfinished + a.waiting == 0).await;
    let failed = receiver.to("/flaky").len() as u64 - account_of_flaky.delivered;
    assert_eq!(account_of_flaky.matched, published);
    assert_eq!(account_of_flaky.delivered + account_of_flaky.overflowed, published);
    assert!((1..=20).contains(&failed), "{failed} attempts failed: {account_of_flaky:?}");

    let account_of_picky = account(&picky, |a| a.parked == 1 && a.unfinished == 0).await;
    assert_eq!(account_of_picky.delivered, published - 1);
    let parked = format!("bigbluebutton:webhooks:out:parked:{picky}");
    until("what the books call parked is parked", async || redis.run::<u64>(cmd("HLEN").arg(&parked)).await == 1).await;

    let account_of_hanging = account(&hangs, |a| a.matched == 202 && a.waiting == 0).await;
    assert_eq!((account_of_hanging.unfinished, account_of_hanging.overflowed), (50, 152));
    let destroyed = inside.call("hooks/destroy", &format!("hookID={hangs}")).await;
    assert!(destroyed.contains("<removed>true</removed>"), "{destroyed}");
    assert!(inside.accounts().len() <= 4);
    inside.app.stop().await;
}
