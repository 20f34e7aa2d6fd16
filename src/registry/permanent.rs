//! Permanent hooks: those of the configuration, at the start and as it changes.

use std::sync::Arc;

use tracing::info;
use tracing::warn;

use crate::config::Hooks as Settings;
use crate::config::PermanentHook;
use crate::hook::Hook;
use crate::registry::Error;
use crate::registry::NewHook;
use crate::registry::Registry;
use crate::registry::filter;
use crate::registry::last::Last;
use crate::registry::to_its_end;

impl Registry {
    /// Permanent hooks are those of the configuration: added, changed and removed there means so here.
    pub(super) async fn reconcile_permanent(
        &self,
        hooks: &mut Vec<Hook>,
        settings: &Settings,
        last: &mut Last,
        now_ms: u64,
    ) -> Result<(), Error> {
        let store = &self.shared.store;
        let configured = |hook: &Hook| settings.permanent.iter().any(|permanent| permanent.url == hook.callback_url);
        for gone in hooks.extract_if(.., |hook| hook.permanent && !configured(hook)) {
            store.carry_out(store.forget_hook(&gone.id)).await?;
            info!(hook.id = %gone.id, "A permanent hook is no longer configured; it is removed");
        }
        for permanent in &settings.permanent {
            let known = hooks.iter_mut().find(|hook| hook.callback_url == permanent.url);
            let wanted = Hook {
                id: known.as_ref().map_or_else(|| last.next_id(self.id_format()), |hook| hook.id.clone()),
                created_ms: known.as_ref().map_or_else(|| last.next_created_ms(now_ms), |hook| hook.created_ms),
                callback_url: permanent.url.clone(),
                meeting: None,
                events: Vec::new(),
                permanent: true,
                raw: permanent.raw,
            };
            if known.as_deref() == Some(&wanted) {
                continue;
            }
            store.carry_out(store.put_hook(&wanted, last.number)).await?;
            match known {
                Some(hook) => *hook = wanted,
                None => hooks.push(wanted),
            }
        }
        Ok(())
    }

    /// Follows the configuration after it changed: which events go out, and which hooks are permanent. What was accepted
    /// before goes out as it would have. Hooks that are not known yet follow it when they are.
    ///
    /// # Errors
    /// If the store does not take a change of the hooks; those before it are made.
    pub async fn follow_configuration(&self, now_ms: u64) -> Result<(), Error> {
        let registry = self.clone();
        to_its_end(async move { registry.follow_at(now_ms).await }).await
    }

    async fn follow_at(&self, now_ms: u64) -> Result<(), Error> {
        let mut last = self.shared.last.lock().await;
        let settings = &self.shared.config.get().hooks;
        self.shared.journal.between_events(|number| self.shared.filters.change_after(number, filter(settings)));
        let Ok(hooks) = self.list(None) else { return Ok(()) };
        let configured = |hook: &Hook| settings.permanent.iter().any(|permanent| permanent.url == hook.callback_url);
        for gone in hooks.iter().filter(|hook| hook.permanent && !configured(hook)) {
            self.remove(gone).await?;
            info!(hook.id = %gone.id, host = gone.host(), "A permanent hook is no longer configured; it is removed");
        }
        for permanent in &settings.permanent {
            match hooks.iter().find(|hook| hook.callback_url == permanent.url) {
                None => {
                    let hook = self.add(&mut last, permanent.clone().into(), true, now_ms).await?;
                    info!(hook.id = %hook.id, host = hook.host(), "There is a new permanent hook");
                }
                Some(known) => self.make_permanent(known, permanent, last.number).await?,
            }
        }
        Ok(())
    }

    /// A hook for a URL that is now configured: it stays, with what waits for it. What it gets changes at the next start,
    /// for what it was not done with was accepted for it as it is.
    async fn make_permanent(&self, known: &Hook, permanent: &PermanentHook, counter: u64) -> Result<(), Error> {
        if known.raw != permanent.raw || known.meeting.is_some() || !known.events.is_empty() {
            warn!(hook.id = %known.id, host = known.host(), "This hook is to get other events as a permanent one (hooks.permanentURLs); that needs a restart");
        }
        if known.permanent {
            return Ok(());
        }
        let hook = Hook { permanent: true, ..known.clone() };
        self.shared.journal.store(self.shared.store.put_hook(&hook, counter), None).await?;
        info!(hook.id = %hook.id, host = hook.host(), "This hook is permanent from now on");
        self.write().get_or_insert_default().insert(hook.id.clone(), Arc::new(hook));
        Ok(())
    }
}

impl From<PermanentHook> for NewHook {
    fn from(permanent: PermanentHook) -> Self {
        Self { callback_url: permanent.url, meeting: None, events: Vec::new(), raw: permanent.raw }
    }
}
