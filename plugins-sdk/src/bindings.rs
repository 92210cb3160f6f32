//! What wit-bindgen makes of `wit/plugin.wit`.
//!
//! One `generate!` for each hook rather than one for all: the custom section that names an export is emitted by that
//! hook's own `export!`, and the componentiser joins the sections it finds. So a plugin exports exactly the hooks
//! it registers, in any combination, and imports only what it calls. The shared types are generated once, with the
//! first hook, and mapped into the others.
#![allow(
    missing_docs,
    unsafe_code,
    unreachable_pub,
    clippy::all,
    reason = "generated code"
)]
#![allow(
    clippy::allow_attributes_without_reason,
    clippy::str_to_string,
    reason = "generated code"
)]

pub mod timeout {
    wit_bindgen::generate!({
        path: "wit",
        world: "timeout-plugin",
        pub_export_macro: true,
        export_macro_name: "export_timeout_policy",
        default_bindings_module: "$crate::bindings::timeout",
        additional_derives: [PartialEq],
        generate_all,
    });
}

pub mod redaction {
    wit_bindgen::generate!({
        path: "wit",
        world: "redaction-plugin",
        pub_export_macro: true,
        export_macro_name: "export_output_redaction",
        default_bindings_module: "$crate::bindings::redaction",
        additional_derives: [PartialEq],
        with: {
            "sandclock:plugin/types@0.1.0": crate::bindings::timeout::sandclock::plugin::types,
            "sandclock:plugin/host@0.1.0": crate::bindings::timeout::sandclock::plugin::host,
            "sandclock:plugin/log@0.1.0": crate::bindings::timeout::sandclock::plugin::log,
            "sandclock:plugin/config@0.1.0": crate::bindings::timeout::sandclock::plugin::config,
            "sandclock:plugin/clock@0.1.0": crate::bindings::timeout::sandclock::plugin::clock,
        },
        generate_all,
    });
}

pub mod alert {
    wit_bindgen::generate!({
        path: "wit",
        world: "alert-plugin",
        pub_export_macro: true,
        export_macro_name: "export_run_end",
        default_bindings_module: "$crate::bindings::alert",
        additional_derives: [PartialEq],
        with: {
            "sandclock:plugin/types@0.1.0": crate::bindings::timeout::sandclock::plugin::types,
            "sandclock:plugin/host@0.1.0": crate::bindings::timeout::sandclock::plugin::host,
            "sandclock:plugin/log@0.1.0": crate::bindings::timeout::sandclock::plugin::log,
            "sandclock:plugin/config@0.1.0": crate::bindings::timeout::sandclock::plugin::config,
            "sandclock:plugin/clock@0.1.0": crate::bindings::timeout::sandclock::plugin::clock,
        },
        generate_all,
    });
}

pub mod lifecycle {
    wit_bindgen::generate!({
        path: "wit",
        world: "configured",
        pub_export_macro: true,
        export_macro_name: "export_lifecycle",
        default_bindings_module: "$crate::bindings::lifecycle",
        with: {
            "sandclock:plugin/host@0.1.0": crate::bindings::timeout::sandclock::plugin::host,
            "sandclock:plugin/log@0.1.0": crate::bindings::timeout::sandclock::plugin::log,
            "sandclock:plugin/config@0.1.0": crate::bindings::timeout::sandclock::plugin::config,
            "sandclock:plugin/clock@0.1.0": crate::bindings::timeout::sandclock::plugin::clock,
        },
        generate_all,
    });
}

/// The imports with effects. A plugin that calls none of them imports none.
#[cfg(target_arch = "wasm32")]
pub mod effects {
    wit_bindgen::generate!({
        path: "wit",
        inline: "
            package sandclock:sdk;
            world effects {
                import sandclock:plugin/kv@0.1.0;
                import sandclock:plugin/http@0.1.0;
            }
        ",
        world: "sandclock:sdk/effects",
        generate_all,
    });
}
