//! The cases by name, module by module: a case that is not listed here is run by nobody.

/// Every case on coordination, handed to another macro.
#[macro_export]
#[doc(hidden)]
macro_rules! coordination_cases {
    ([$($macro:tt)+] $($args:tt)*) => {
        $($macro)+! { $($args)*
            jobs: {
                absent_put_wins_once
                put_needs_the_version_it_names
                delete_needs_what_it_names
                versions_rise_with_every_write
                a_recreated_job_begins_a_new_life
                one_of_many_writers_wins_each_version
            }
            broken: {
                a_broken_record_stops_no_other
                a_watch_reports_a_broken_record
                a_put_repairs_a_broken_record
                a_newer_record_is_not_replaced
                a_broken_record_can_be_deleted
                a_broken_job_is_neither_claimed_nor_asked_for
                a_broken_record_may_have_any_name
            }
            definitions: {
                a_job_comes_back_as_it_was
                names_of_all_kinds_are_kept_apart
            }
            job_watch: {
                snapshot_and_watch_have_no_gap
                each_jobs_changes_come_in_order
                a_watch_resumes_after_it_broke
                forgotten_history_is_said
            }
            sessions: {
                a_session_appears_and_vanishes
                a_watch_begins_with_all_that_live
                an_expired_session_is_lost_for_ever
                a_lease_runs_out_by_itself
                a_renewed_session_outlives_its_lease
                two_lives_of_a_worker_are_distinct
                closing_twice_is_closing_once
                new_information_reaches_watchers
                a_drain_reaches_whoever_watches
                a_drain_ends_with_its_session
                a_watch_begins_anew_after_it_broke
            }
            decide: {
                one_of_many_deciders_holds_the_tick
                a_stale_mark_changes_nothing
                passed_over_ticks_are_recorded
                a_recorded_tick_moves_the_mark
                a_decide_needs_the_jobs_version
                a_decide_needs_the_generation
                a_decide_needs_a_mark
                a_decide_needs_a_live_session
                the_repeat_of_a_claim_is_recognised
                a_batch_answers_each_item
                a_batch_out_of_bounds_is_refused
                a_dropped_call_does_all_or_nothing
                fire_times_are_data
                a_kill_comes_with_the_claim
            }
            adopt: {
                one_adopter_sets_the_first_mark
                an_adopt_moves_the_mark_but_never_back
                an_adopt_needs_the_jobs_version
                a_mark_outlives_its_job
            }
            policy: {
                forbid_skips_beside_every_open_record
                a_tick_can_wait_for_its_turn
                forbid_does_not_count_what_waits
                allow_runs_beside
                queue_lets_one_tick_wait
                replace_lets_every_tick_wait
                replaced_ticks_go_with_the_take
                a_request_does_not_keep_a_tick_waiting
            }
            take: {
                a_waiting_run_is_taken_once
                a_take_needs_the_version_seen
                a_take_needs_a_live_session
                a_take_from_wait_needs_a_free_job
                a_take_from_wait_needs_the_jobs_version
                a_take_with_a_stale_older_tick_changes_nothing
                the_repeat_of_a_take_is_recognised
                a_kill_comes_with_the_take
                a_rebound_run_has_a_new_fence
                a_rebind_needs_fence_and_session
            }
            end: {
                an_end_needs_the_fence
                an_end_needs_no_session
                the_repeat_of_an_end_is_recognised
                an_end_is_recorded_as_it_was
                a_retry_waits_for_its_next_attempt
                a_hand_back_keeps_the_attempt
                a_kill_turns_a_retry_into_an_end
                fences_rise_with_each_holder
                the_mark_keeps_the_streak
            }
            settle: {
                a_settle_needs_the_owner_gone
                one_of_many_settlers_settles
                a_late_end_is_fenced
                a_rerun_is_counted
                a_kill_wins_over_a_rerun
                an_ownerless_run_is_settled_only_by_a_kill
                a_waiting_tick_can_be_dropped
                a_drop_needs_the_job_as_seen
            }
            trigger: {
                one_request_is_one_run
                a_bad_request_is_refused
                a_busy_job_can_refuse_a_request
                requests_wait_in_order
            }
            feed: {
                snapshot_and_watch_have_no_gap
                a_claim_is_told_before_its_mark
                a_watch_resumes_after_it_broke
                forgotten_history_is_said
                done_stays_until_it_is_cleaned
            }
            kills: {
                a_kill_sent_before_the_watch_is_seen
                a_second_kill_changes_nothing
                a_kill_expires
                a_watch_begins_anew_after_it_broke
            }
            leadership: {
                one_of_many_leads
                a_resigned_seat_is_free
                a_term_runs_out_by_itself
                a_held_term_outlives_its_lease
            }
            docs: {
                documents_come_back_by_name
                a_write_needs_what_it_replaces
                one_of_many_writers_wins
                a_document_is_bounded
            }
            lockstep: {
                random_steps_match_the_model
            }
        }
    };
}

/// Every case on records, handed to another macro.
#[macro_export]
#[doc(hidden)]
macro_rules! records_cases {
    ([$($macro:tt)+] $($args:tt)*) => {
        $($macro)+! { $($args)*
            runs: {
                a_begin_can_be_repeated
                a_lower_fence_is_refused
                nothing_begins_after_the_end
                a_run_goes_back_to_waiting
                a_run_is_finished_once
                a_run_that_never_began_is_recorded
                a_record_comes_back_as_it_was
            }
            output: {
                a_repeated_chunk_is_ignored
                the_middle_of_an_output_can_be_cut
                an_output_is_read_in_pages
            }
            run_lists: {
                a_list_is_stable_while_runs_come
                a_list_is_filtered
                a_foreign_page_token_is_refused
                prune_is_bounded_and_spares_what_runs
                a_history_counts_what_ended_by_itself
            }
            alert_lists: {
                a_list_is_newest_first
                alerts_of_a_run_are_found
                alerts_of_a_job_are_found
            }
            outbox: {
                an_alert_is_put_once
                alerts_fold_into_one_that_is_pending
                a_claim_excludes_others_until_it_runs_out
                claims_come_oldest_first
                a_delivered_alert_is_done
                a_failed_alert_is_due_again
                an_alert_is_given_up
                a_late_answer_changes_nothing
                a_person_can_retry_and_acknowledge
                an_alert_waits_and_says_why
                an_alert_is_moved_or_unwanted
                a_message_is_closed_once
                sends_keep_a_pace
            }
            plugins: {
                a_pushed_module_comes_back
                releases_are_listed_last_first
                a_release_never_changes
                a_bad_push_is_refused
                one_of_many_pushes_is_the_release
                a_serve_needs_what_serves
                one_of_many_serves
                a_withdrawn_release_is_gone
                a_shadow_is_a_release_that_does_not_serve
                a_mode_is_of_the_plugin
            }
            recordings: {
                recordings_come_back_in_order
                a_recording_is_kept_once
                the_oldest_of_a_plugin_go
                a_large_recording_is_refused
                recordings_go_with_their_run
            }
            audit: {
                entries_come_back_newest_first
                an_entry_is_written_once
                entries_are_filtered
                old_entries_are_pruned
                an_entry_is_bounded
            }
            kv: {
                a_value_comes_back
                a_swap_needs_what_it_expects
                every_count_of_many_hands_counts
                a_value_goes_when_its_time_runs_out
                plugins_are_kept_apart
                each_bound_is_said
                a_share_holds_against_many_hands
                what_is_gone_takes_no_room
                a_cleared_plugin_has_nothing
            }
        }
    };
}
