//! What the program says of itself: help, completions, manual pages.

use crate::harness::Daemon;

#[tokio::test]
async fn completions_and_pages_need_no_configuration() {
    let setup = Daemon::without_redis().file("local.yml", "this: [is no");
    for shell in ["bash", "zsh", "fish"] {
        let ended = setup.command(&["completions", shell]).await;
        assert!(ended.status.success(), "{}", ended.stderr);
        assert!(ended.stdout.contains("bbb-webhooks") && ended.stdout.contains("replay"), "{shell}");
    }
    let page = setup.command(&["man"]).await.stdout;
    assert!(page.contains(".TH bbb\\-webhooks 1") || page.contains(".TH bbb-webhooks 1"), "{page}");
    let folder = setup.folder().join("pages").display().to_string();
    let ended = setup.command(&["man", "--folder", &folder]).await;
    assert_eq!((ended.status.code(), ended.stdout.as_str()), (Some(0), ""), "{}", ended.stderr);
    for page in ["bbb-webhooks.1", "bbb-webhooks-check.1", "bbb-webhooks-hooks-create.1", "bbb-webhooks-sign.1"] {
        assert!(setup.folder().join("pages").join(page).is_file(), "{page}");
    }
}

#[tokio::test]
async fn every_command_explains_itself() {
    let setup = Daemon::without_redis();
    let help = setup.command(&["--help"]).await.stdout;
    for command in ["serve", "check", "hooks", "events", "receive", "sign", "replay", "parked", "completions", "man"] {
        assert!(help.contains(&format!("\n  {command} ")), "{command}: {help}");
        let own = setup.command(&[command, "--help"]).await;
        assert!(own.status.success() && own.stdout.contains("Usage: bbb-webhooks"), "{command}: {}", own.stdout);
    }
}
