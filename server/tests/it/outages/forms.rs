//! The same outages for a fleet of which half writes a form of records that the other half does not know: as during
//! an upgrade, for longer than anybody planned.
//!
//! There is one form so far. What stands in for the next is what every later program may do without raising the
//! form's number: members more in every record, and words more in every mark. So the half that writes today's form is
//! the half on the previous one.

use super::{Form, cut_off, etcd, mongodb};

#[tokio::test]
async fn a_fleet_of_two_forms_survives_30_s_without_etcd() {
    etcd::is_away_for_30_s(
        etcd::Outage::Frozen,
        [Form::Today, Form::Later, Form::Today, Form::Later],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_cut_off_worker_of_the_previous_form_starts_nothing_that_was_disabled() {
    cut_off::jobs_change_meanwhile([Form::Today, Form::Later]).await;
}

/// And what the later one has left on its disk is sent by one of today's.
#[tokio::test]
async fn a_worker_of_a_later_form_that_is_killed_loses_no_record() {
    mongodb::a_worker_dies_meanwhile([Form::Later, Form::Today]).await;
}
