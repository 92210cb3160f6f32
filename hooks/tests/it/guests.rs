//! Guests written as text: core modules with the contract's metadata, which the host makes into
//! components as it does with those of wit-bindgen. Nothing but this file is needed to build them.
//!
//! Each guest exports all hooks. A hook's body is a piece of WAT that leaves the address of an
//! answer; [`Guest::harmless`] keeps what is declared, hides nothing and tells nobody.

use wit_component::StringEncoding;
use wit_parser::Resolve;

/// The bodies of a guest's hooks, and its static data from address 1024 on.
#[derive(Clone, Debug)]
pub(crate) struct Guest {
    pub(crate) decide: String,
    pub(crate) begin: String,
    pub(crate) scan: String,
    pub(crate) on_end: String,
    pub(crate) validate: String,
    pub(crate) data: Vec<u8>,
    pub(crate) functions: String,
    /// Beside those that every guest has.
    pub(crate) imports: String,
    pub(crate) version: &'static str,
}

/// Where [`Guest::data`] begins.
pub(crate) const DATA: u32 = 1024;

impl Guest {
    /// Well-behaved and without any effect.
    pub(crate) fn harmless() -> Self {
        Self {
            decide: "(call $ok_empty)".to_owned(),
            begin: "(call $ok_empty)".to_owned(),
            scan: "(call $release (local.get 1))".to_owned(),
            on_end: "(call $ok_empty)".to_owned(),
            validate: "(call $ok_empty)".to_owned(),
            data: Vec::new(),
            functions: String::new(),
            imports: String::new(),
            version: "0.1.0",
        }
    }

    /// Does `body` in every hook instead; it must not end, or leave an address.
    pub(crate) fn doing(body: &str) -> Self {
        Self {
            decide: body.to_owned(),
            scan: body.to_owned(),
            on_end: body.to_owned(),
            ..Self::harmless()
        }
    }

    /// Decides on as many milliseconds as the year has a number, which contract 0.1.1 of `tests/later` tells.
    pub(crate) fn of_the_year() -> Self {
        Self {
            imports: r#"(import "sandclock:plugin/clock@0.1.1" "year" (func $year (result i32)))"#
                .to_owned(),
            decide: format!(
                "(i32.store (i32.const {}) (call $year)) (i32.const {DATA})",
                DATA + 12
            ),
            data: decision(0, b"the year"),
            version: "0.1.1",
            ..Self::harmless()
        }
    }

    /// Answers with static data in every hook.
    pub(crate) fn answering(data: Vec<u8>) -> Self {
        Self {
            data,
            ..Self::doing(&format!("(i32.const {DATA})"))
        }
    }

    /// The module as text.
    fn wat(&self) -> String {
        let data: String = self
            .data
            .iter()
            .map(|byte| format!("\\{byte:02x}"))
            .collect();
        let Self {
            decide,
            begin,
            scan,
            on_end,
            validate,
            functions,
            imports,
            version,
            ..
        } = self;
        format!(
            r#"(module
  (import "sandclock:plugin/log@{version}" "write" (func $log (param i32 i32 i32)))
  (import "sandclock:plugin/config@{version}" "all" (func $config (param i32)))
  {imports}
  (memory (export "memory") 4)
  (global $heap (mut i32) (i32.const 131072))
  (data (i32.const {DATA}) "{data}")
  {functions}
  ;; Never gives back; what one call needs is forgotten when the next begins.
  (func $alloc (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (local $at i32)
    (local.set $at (i32.and (i32.add (global.get $heap) (i32.const 7)) (i32.const -8)))
    (global.set $heap (i32.add (local.get $at) (local.get 3)))
    (block $fits
      (loop $more
        (br_if $fits (i32.le_u (global.get $heap) (i32.shl (memory.size) (i32.const 16))))
        (drop (memory.grow (i32.const 1)))
        (br $more)))
    (local.get $at))
  (func $forget (param i32) (global.set $heap (i32.const 131072)))
  ;; 64 zero bytes: the first case of a result, and in it nothing.
  (func $ok_empty (result i32) (i32.const 512))
  ;; A verdict that decides all and hides nothing.
  (func $release (param $len i32) (result i32)
    (i32.store (i32.const 652) (local.get $len))
    (i32.const 640))
  ;; An error with this text.
  (func $error (param $ptr i32) (param $len i32) (result i32)
    (i32.store (i32.const 704) (i32.const 1))
    (i32.store (i32.const 708) (local.get $ptr))
    (i32.store (i32.const 712) (local.get $len))
    (i32.const 704))
  (func (export "sandclock:plugin/timeout-policy@{version}#decide") (param i32) (result i32)
    {decide})
  (func (export "sandclock:plugin/output-redaction@{version}#begin")
    (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)
    {begin})
  (func (export "sandclock:plugin/output-redaction@{version}#scan")
    (param i32 i32 i32 i32 i32 i32) (result i32)
    (local $i i32) (local $edits i32) (local $byte i32) (local $consumed i32)
    {scan})
  (func (export "cabi_post_sandclock:plugin/output-redaction@{version}#scan") (param i32)
    (call $forget (local.get 0)))
  (func (export "sandclock:plugin/run-end@{version}#on-end") (param i32) (result i32)
    {on_end})
  (func (export "sandclock:plugin/lifecycle@{version}#validate-config") (result i32)
    {validate})
)"#
        )
    }

    /// The artifact: the module with the metadata of the world that has every hook.
    pub(crate) fn build(&self) -> Vec<u8> {
        if self.version == "0.1.1" {
            return self.build_as(include_str!("../later/wit/plugin.wit"), "all-hooks");
        }
        let wit = include_str!("../../../plugins-sdk/wit/plugin.wit");
        let package = format!("package sandclock:plugin@{};", self.version);
        let wit = wit.replace("package sandclock:plugin@0.1.0;", &package);
        self.build_as(&wit, "all-hooks")
    }

    /// The same, as `world` of `wit`.
    pub(crate) fn build_as(&self, wit: &str, world: &str) -> Vec<u8> {
        embed(&self.wat(), wit, world)
    }
}

/// A module of `wat` that says it implements `world` of `wit`.
pub(crate) fn embed(wat: &str, wit: &str, world: &str) -> Vec<u8> {
    let mut resolve = Resolve::default();
    let package = resolve.push_str("test.wit", wit).expect("valid WIT");
    let world = resolve
        .select_world(&[package], Some(world))
        .expect("the world is there");
    let mut module = wat::parse_str(wat).expect("valid WAT");
    wit_component::embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)
        .expect("metadata");
    module
}

/// A redactor that hides each `X` without a trace, traps on a `!`, and always wants one more byte.
pub(crate) fn picky() -> Guest {
    Guest {
        scan: r"
    (local.set $edits (i32.const 4096))
    (local.set $consumed (i32.sub (local.get 1)
      (i32.and (i32.eqz (local.get 3)) (i32.ne (local.get 1) (i32.const 0)))))
    (block $end
      (loop $next
        (br_if $end (i32.ge_u (local.get $i) (local.get $consumed)))
        (local.set $byte (i32.load8_u (i32.add (local.get 0) (local.get $i))))
        (if (i32.eq (local.get $byte) (i32.const 33)) (then (unreachable)))
        (if (i32.eq (local.get $byte) (i32.const 88)) (then
          (i32.store (local.get $edits) (local.get $i))
          (i32.store offset=4 (local.get $edits) (i32.const 1))
          (i64.store offset=8 (local.get $edits) (i64.const 0))
          (i64.store offset=16 (local.get $edits) (i64.const 0))
          (local.set $edits (i32.add (local.get $edits) (i32.const 24)))))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $next)))
    (i32.store (i32.const 640) (i32.const 0))
    (i32.store (i32.const 644) (i32.const 4096))
    (i32.store (i32.const 648)
      (i32.div_u (i32.sub (local.get $edits) (i32.const 4096)) (i32.const 24)))
    (i32.store (i32.const 652) (local.get $consumed))
    (i32.store (i32.const 656) (i32.const 0))
    (i32.store (i32.const 660) (i32.const 0))
    (i32.const 640)"
            .to_owned(),
        ..Guest::harmless()
    }
}

/// Logs its configuration and then fails with it.
pub(crate) fn blabber() -> Guest {
    Guest {
        functions: r"
  (func $blab (result i32)
    (call $config (i32.const 768))
    (call $log (i32.const 1) (i32.load (i32.const 768)) (i32.load (i32.const 772)))
    (call $error (i32.load (i32.const 768)) (i32.load (i32.const 772))))"
            .to_owned(),
        ..Guest::doing("(call $blab)")
    }
}

/// A verdict as a guest lays it out at [`DATA`].
pub(crate) fn verdict(edits: &[(u32, u32, &[u8])], consumed: u32) -> Vec<u8> {
    let mut head = Vec::new();
    let mut words = |words: &[u32]| {
        for word in words {
            head.extend(word.to_le_bytes());
        }
    };
    let edits_at = DATA + 24;
    let count = u32::try_from(edits.len()).expect("few edits");
    words(&[0, edits_at, count, consumed, 0, 0]);
    let mut text_at = edits_at + 24 * count;
    let mut texts = Vec::new();
    for (start, len, replacement) in edits {
        let bytes = u32::try_from(replacement.len()).expect("short text");
        words(&[*start, *len, text_at, bytes, 0, 0]);
        texts.extend_from_slice(replacement);
        text_at += bytes;
    }
    head.extend(texts);
    head
}

/// A decision with this limit and reason, laid out at [`DATA`].
pub(crate) fn decision(limit_ms: u32, reason: &[u8]) -> Vec<u8> {
    let bytes = u32::try_from(reason.len()).expect("short text");
    let words = [0, 1, 1, limit_ms, 0, 0, 0, 0, DATA + 40, bytes];
    let mut data: Vec<u8> = words
        .iter()
        .flat_map(|word: &u32| word.to_le_bytes())
        .collect();
    data.extend_from_slice(reason);
    data
}

/// `count` messages with one target and one body, laid out at [`DATA`].
pub(crate) fn deliveries(count: u32, target: &[u8], body: &[u8], header: &[u8]) -> Vec<u8> {
    let size = 44;
    let texts_at = DATA + 12 + size * count + 16;
    let len = |text: &[u8]| u32::try_from(text.len()).expect("short text");
    let body_at = texts_at + len(target);
    let header_at = body_at + len(body);
    let headers_at = DATA + 12 + size * count;
    let mut words = vec![0, DATA + 12, count];
    for _ in 0..count {
        // target; no dedupe key; content type, which is the target's text; body; one header.
        words.extend([texts_at, len(target), 0, 0, 0, texts_at, len(target)]);
        words.extend([
            body_at,
            len(body),
            headers_at,
            u32::from(!header.is_empty()),
        ]);
    }
    words.extend([header_at, len(header), texts_at, len(target)]);
    let mut data: Vec<u8> = words
        .iter()
        .flat_map(|word: &u32| word.to_le_bytes())
        .collect();
    for text in [target, body, header] {
        data.extend_from_slice(text);
    }
    data
}

/// A guest whose one hook is `run-end`, which imports effects.
#[derive(Clone, Debug)]
pub(crate) struct Effectful {
    /// Whether it imports `kv`.
    pub(crate) kv: bool,
    /// Whether it imports `http`.
    pub(crate) http: bool,
    /// What it does; leaves an address.
    pub(crate) on_end: String,
    /// Static data from [`DATA`] on.
    pub(crate) data: Vec<u8>,
    /// Whether it does the same to check its configuration.
    pub(crate) validates: bool,
}

impl Effectful {
    /// Imports both.
    pub(crate) fn doing(on_end: &str, data: &[u8]) -> Self {
        Self {
            kv: true,
            http: true,
            on_end: on_end.to_owned(),
            data: data.to_vec(),
            validates: false,
        }
    }

    /// Imports `kv` alone.
    pub(crate) fn keeping(on_end: &str, data: &[u8]) -> Self {
        Self {
            http: false,
            ..Self::doing(on_end, data)
        }
    }

    fn wat(&self) -> String {
        let data: String = (self.data.iter())
            .map(|byte| format!("\\{byte:02x}"))
            .collect();
        let imports = |is: bool, text: &'static str| if is { text } else { "" };
        let kv = imports(self.kv, KV);
        let http = imports(self.http, HTTP);
        let Self { on_end, .. } = self;
        let validate = match self.validates {
            true => on_end,
            false => "(i32.const 512)",
        };
        format!(
            r#"(module {kv} {http}
  (memory (export "memory") 4)
  (global $heap (mut i32) (i32.const 131072))
  (data (i32.const {DATA}) "{data}")
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (local $at i32)
    (local.set $at (i32.and (i32.add (global.get $heap) (i32.const 7)) (i32.const -8)))
    (global.set $heap (i32.add (local.get $at) (local.get 3)))
    (block $fits
      (loop $more
        (br_if $fits (i32.le_u (global.get $heap) (i32.shl (memory.size) (i32.const 16))))
        (drop (memory.grow (i32.const 1)))
        (br $more)))
    (local.get $at))
  (func $error (param $ptr i32) (param $len i32) (result i32)
    (i32.store (i32.const 704) (i32.const 1))
    (i32.store (i32.const 708) (local.get $ptr))
    (i32.store (i32.const 712) (local.get $len))
    (i32.const 704))
  ;; The answer at 768, if it is an error; else the text at `ptr`, if it is long enough to be one; else nothing.
  (func $told (param $ptr i32) (param $len i32) (result i32)
    (if (i32.load8_u (i32.const 768))
      (then (return (call $error (i32.load (i32.const 772)) (i32.load (i32.const 776))))))
    (if (local.get $len) (then (return (call $error (local.get $ptr) (local.get $len)))))
    (i32.const 512))
  (func (export "sandclock:plugin/run-end@0.1.0#on-end") (param i32) (result i32)
    {on_end})
  (func (export "sandclock:plugin/lifecycle@0.1.0#validate-config") (result i32)
    {validate})
)"#
        )
    }

    /// The module, with the metadata of its bindings.
    pub(crate) fn build(&self) -> Vec<u8> {
        let wit = include_str!("../../../plugins-sdk/wit/plugin.wit");
        let world = "world test-guest { include alert-plugin-kv-http; include configured; }";
        embed(&self.wat(), &format!("{wit}\n{world}"), "test-guest")
    }
}

/// Answers are left at 768. `$get` and `$swap` take their key from the data.
const KV: &str = r#"
  (import "sandclock:plugin/kv@0.1.0" "get" (func $kv_get (param i32 i32 i32)))
  (import "sandclock:plugin/kv@0.1.0" "swap"
    (func $kv_swap (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)))"#;

const HTTP: &str = r#"
  (import "sandclock:plugin/http@0.1.0" "get" (func $http_get (param i32 i32 i32 i32 i32 i32 i32)))
  (import "sandclock:plugin/http@0.1.0" "post" (func $http_post (param i32 i32 i32 i32 i32 i32 i32 i32 i32)))"#;
