//! What every backend has to do. A backend says how its store is opened and closed in a [`Place`], and is added to the
//! list at the end.

mod challenges;
mod cloud_accounts;
mod demotions;
mod escalations;
mod events;
mod exclusions;
pub mod history;
mod incidents;
mod learned;
mod outbox;
mod plugin_state;
mod policies;
mod profiles;
mod settings;
mod sources;

use async_trait::async_trait;
use portcullis_core::channel::OutboxStore;
use portcullis_core::cloud::{CloudAccountStore, SourceStore};
use portcullis_core::demotion::DemotionStore;
use portcullis_core::escalation::EscalationStore;
use portcullis_core::exclusion::ExclusionStore;
use portcullis_core::history::HistoryStore;
use portcullis_core::profile::ProfileStore;
use portcullis_core::revision::PolicyStore;
use portcullis_core::store::{
    ChallengeStore, EventStore, IncidentStore, LearnedStore, PluginStateStore, SettingsStore,
};

/// Where a store is kept, from one opening to the next. A new place is empty.
#[async_trait]
pub trait Place: Sized + Send + Sync {
    /// The store of this backend.
    type Store: EventStore
        + IncidentStore
        + LearnedStore
        + ChallengeStore
        + SettingsStore
        + PluginStateStore
        + SourceStore
        + CloudAccountStore
        + ProfileStore
        + HistoryStore
        + DemotionStore
        + PolicyStore
        + EscalationStore
        + ExclusionStore
        + OutboxStore
        + Clone
        + 'static;

    async fn new() -> Self;
    async fn open(&self) -> Self::Store;
    async fn close(store: Self::Store);
}

macro_rules! contract {
    ($backend:ident: $place:ty => $($module:ident { $($name:ident),* $(,)? })*) => {
        mod $backend {
            $(mod $module {
                $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    use crate::contract::Place as _;
                    crate::contract::$module::$name(&<$place>::new().await).await;
                })*
            })*
        }
    };
}

contract! { sqlite: crate::sqlite::Folder =>
    events {
        an_empty_log_is_empty, every_event_comes_back_as_it_was, the_newest_come_first_and_pages_meet,
        an_append_is_queued_when_it_is_called, many_writers_lose_nothing, an_id_is_stored_once,
        a_bad_record_leaves_its_neighbours_alone, events_survive_reopening, changes_wake_those_who_wait,
    }
    incidents {
        raising_again_adds_to_the_open_one, resolving_names_the_proof, after_resolving_a_new_one_is_opened,
        resolving_what_is_not_there_changes_nothing, accounts_and_policies_are_apart, one_record_can_do_both,
        a_person_resolves_once_and_with_an_event,
        people_take_release_resolve_and_reopen,
        one_is_not_reopened_beside_its_successor, distrust_reopens_what_a_policy_resolved,
        a_history_is_bounded_and_counts_go_on,
        detections_and_policies_are_apart, concurrent_raising_makes_one, unresolved_come_first,
        the_most_severe_are_listed_first, pages_of_the_list_meet_whatever_becomes_of_their_ends,
    }
    history {
        what_was_imported_is_stored_once_and_read_apart, what_was_imported_teaches_by_its_own_time,
        a_mark_says_how_far_imports_have_taught, a_part_that_is_too_large_is_refused,
    }
    escalations {
        raised_often_enough_it_is_more_severe_with_that_event, time_does_it_once_with_an_event_and_across_a_restart,
        what_is_resolved_rests_and_begins_anew_when_reopened, who_works_on_it_holds_up_what_says_so,
        a_note_and_more_of_the_same_do_not_move_its_time, rising_ends_remembered_approvals_as_raising_does,
        an_incident_knows_from_where_and_when_its_time_began,
    }
    exclusions {
        resolving_and_excluding_are_one, an_incident_of_a_policy_makes_none,
        what_is_undone_or_over_is_in_force_no_more, there_is_a_bound,
    }
    learned {
        associations_are_counted, endpoints_count_accounts, what_is_learned_survives_reopening,
        asking_meanwhile_changes_nothing,
    }
    challenges {
        only_an_approval_for_the_same_key_counts, the_newest_approval_counts, a_challenge_is_replaced,
        open_ones_are_cancelled, what_is_forgotten_counts_no_more, what_is_not_settled_counts_and_can_be_taken_back,
        a_refusal_and_an_incident_end_what_was_approved_before,
        of_detections_only_grave_incidents_end_what_was_approved_before,
        those_that_were_opened_lately_come_back_as_they_were,
    }
    settings {
        settings_are_set_and_replaced, administrators_are_added_and_replaced, sessions_end_in_time,
        sessions_are_ended, sessions_are_administrators_and_end_with_the_password, settings_survive_reopening,
    }
    sources {
        each_foreign_event_is_stored_once, a_page_is_stored_whole_or_not_at_all,
        what_has_to_follow_is_kept_until_it_is_done,
    }
    cloud_accounts { a_person_s_word_outlives_what_is_found }
    demotions {
        a_wish_waits_for_its_event_and_counts_its_incident, each_step_is_taken_once_and_survives_reopening,
        a_person_puts_back_what_stands_and_nothing_else, a_step_and_its_incident_are_one,
    }
    outbox {
        what_enforced_policies_say_waits_with_its_event,
        incidents_are_told_when_opened_raised_resolved_and_reopened,
        what_is_settled_is_counted_and_survives_reopening, messages_are_counted_by_the_hour, what_was_postponed_by_a_clock_that_was_ahead_is_due,
        a_flood_is_counted_and_not_kept, channels_come_and_go,
    }
    profiles {
        profiles_are_replaced_and_survive_reopening, the_riskiest_come_first,
        all_risky_ones_come_page_by_page, a_risk_that_has_decayed_is_lower_unless_the_profile_was_written_meanwhile,
        an_unfinished_mark_stands_beside_the_last_finished_one, events_come_in_their_order,
        a_kind_is_decided_with_an_event_and_taken_back,
    }
    policies {
        revisions_are_numbered_and_stay, the_file_is_taken_over_by_its_digest,
        a_draft_is_changed_by_who_has_seen_it, of_two_who_save_at_once_one_is_told,
        a_draft_becomes_a_revision_in_one_transaction,
    }
    plugin_state { values_are_kept_per_plugin, the_quota_holds, any_text_is_a_key }
}
