;; What a guest of a WASI toolchain finds in place of `wasi_snapshot_preview1`: no file, no socket, no argument, no
;; environment, no randomness, and the frozen time of the call. What it prints becomes lines of the plugin's log.
;;
;; The host links no WASI. A module that imports it (Go's always do) is made into a component together with this one, which
;; answers on top of the contract's own `log` and `clock`: so such a plugin imports nothing that others may not, and a call of it
;; can be replayed.
;;
;; Written as text because it has to be exact about memory. The bytes that a host function reads have to lie in the guest's memory, in which
;; nothing is ours: a guest's allocator cannot be called from within a print, and taking a page by `memory.grow` makes Go's heap
;; overwrite it, since Go takes whatever has grown for its own. So unfinished lines wait in a memory of this module, and stand at the start of
;; the guest's only while the host reads them.
;;
;; preview1.wasm is made of it by `cargo xtask plugins`.
(module
  (import "env" "memory" (memory $guest 0))
  (import "sandclock:plugin/log@0.1.0" "write"
    (func $log (param $level i32) (param $text i32) (param $len i32)))
  (import "sandclock:plugin/clock@0.1.0" "now-ms" (func $now_ms (result f64)))

  ;; At 0 the unfinished line of standard output, at 1024 that of standard error, at 2048 what of the guest's memory is lent to the
  ;; host, at 3072 the lengths of the two lines.
  (memory $own 1 1)
  (global $random (mut i64) (i64.const 0))
  (global $now (mut i64) (i64.const 0))
  (global $allocating (mut i32) (i32.const 0))

  (func $line (param $fd i32) (result i32)
    (i32.shl (i32.sub (local.get $fd) (i32.const 1)) (i32.const 10)))
  (func $length_at (param $fd i32) (result i32)
    (i32.add (i32.const 3068) (i32.shl (local.get $fd) (i32.const 2))))

  ;; How many bytes of a character begin with this one; 0 if none does.
  (func $character (param $byte i32) (result i32)
    (if (i32.lt_u (local.get $byte) (i32.const 0x80)) (then (return (i32.const 1))))
    (if (i32.lt_u (local.get $byte) (i32.const 0xc2)) (then (return (i32.const 0))))
    (if (i32.lt_u (local.get $byte) (i32.const 0xe0)) (then (return (i32.const 2))))
    (if (i32.lt_u (local.get $byte) (i32.const 0xf0)) (then (return (i32.const 3))))
    (if (i32.lt_u (local.get $byte) (i32.const 0xf5)) (then (return (i32.const 4))))
    (i32.const 0))

  ;; Whether a second byte may follow the first: what would be overlong, a surrogate or too large may not.
  (func $may_follow (param $first i32) (param $second i32) (result i32)
    (local $least i32) (local $most i32)
    (local.set $least (i32.const 0x80))
    (local.set $most (i32.const 0xbf))
    (if (i32.eq (local.get $first) (i32.const 0xe0)) (then (local.set $least (i32.const 0xa0))))
    (if (i32.eq (local.get $first) (i32.const 0xed)) (then (local.set $most (i32.const 0x9f))))
    (if (i32.eq (local.get $first) (i32.const 0xf0)) (then (local.set $least (i32.const 0x90))))
    (if (i32.eq (local.get $first) (i32.const 0xf4)) (then (local.set $most (i32.const 0x8f))))
    (i32.and
      (i32.ge_u (local.get $second) (local.get $least))
      (i32.le_u (local.get $second) (local.get $most))))

  ;; The bytes of the character at `at`, or 0 if it is none or goes on behind `end`.
  (func $whole (param $at i32) (param $end i32) (result i32)
    (local $first i32) (local $count i32) (local $i i32)
    (local.set $first (i32.load8_u $own (local.get $at)))
    (local.set $count (call $character (local.get $first)))
    (if (i32.gt_u (i32.add (local.get $at) (local.get $count)) (local.get $end))
      (then (return (i32.const 0))))
    (if (i32.lt_u (local.get $count) (i32.const 2)) (then (return (local.get $count))))
    (if (i32.eqz (call $may_follow (local.get $first) (i32.load8_u $own offset=1 (local.get $at))))
      (then (return (i32.const 0))))
    (local.set $i (i32.const 2))
    (block $all
      (loop $next
        (br_if $all (i32.ge_u (local.get $i) (local.get $count)))
        (if (i32.ne
              (i32.and (i32.load8_u $own (i32.add (local.get $at) (local.get $i))) (i32.const 0xc0))
              (i32.const 0x80))
          (then (return (i32.const 0))))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $next)))
    (local.get $count))

  ;; A text of the contract is UTF-8, and a guest that prints something else is not to trap for it.
  (func $clean (param $at i32) (param $end i32)
    (local $count i32)
    (block $all
      (loop $next
        (br_if $all (i32.ge_u (local.get $at) (local.get $end)))
        (local.set $count (call $whole (local.get $at) (local.get $end)))
        (if (i32.eqz (local.get $count))
          (then
            (i32.store8 $own (local.get $at) (i32.const 63)) ;; ?
            (local.set $count (i32.const 1))))
        (local.set $at (i32.add (local.get $at) (local.get $count)))
        (br $next))))

  ;; The line is done: standard output is logged as info (1), standard error as an error (3). Empty lines are left out.
  (func $flush (param $fd i32)
    (local $line i32) (local $len i32)
    (local.set $line (call $line (local.get $fd)))
    (local.set $len (i32.load $own (call $length_at (local.get $fd))))
    (if (i32.eqz (local.get $len)) (then (return)))
    (if (global.get $allocating) (then (return)))
    (call $clean (local.get $line) (i32.add (local.get $line) (local.get $len)))
    (memory.copy $own $guest (i32.const 2048) (i32.const 0) (local.get $len))
    (memory.copy $guest $own (i32.const 0) (local.get $line) (local.get $len))
    (call $log
      (i32.sub (i32.shl (local.get $fd) (i32.const 1)) (i32.const 1))
      (i32.const 0)
      (local.get $len))
    (memory.copy $guest $own (i32.const 0) (i32.const 2048) (local.get $len))
    (i32.store $own (call $length_at (local.get $fd)) (i32.const 0)))

  ;; A line of more than 1 KiB, which is what the log takes, goes on in the next. What is printed while the host may not be
  ;; called waits in the unfinished line, as far as it has room.
  (func $print (param $fd i32) (param $byte i32)
    (local $len i32)
    (if (i32.eq (local.get $byte) (i32.const 10)) (then (call $flush (local.get $fd)) (return)))
    (if (i32.eq (i32.load $own (call $length_at (local.get $fd))) (i32.const 1024))
      (then (call $flush (local.get $fd))))
    (local.set $len (i32.load $own (call $length_at (local.get $fd))))
    (if (i32.eq (local.get $len) (i32.const 1024)) (then (return)))
    (i32.store8 $own (i32.add (call $line (local.get $fd)) (local.get $len)) (local.get $byte))
    (i32.store $own (call $length_at (local.get $fd)) (i32.add (local.get $len) (i32.const 1))))

  (func (export "fd_write")
    (param $fd i32) (param $pieces i32) (param $count i32) (param $written i32) (result i32)
    (local $at i32) (local $end i32) (local $total i32)
    (if (i32.gt_u (i32.sub (local.get $fd) (i32.const 1)) (i32.const 1))
      (then (return (i32.const 8))))
    (block $all
      (loop $piece
        (br_if $all (i32.eqz (local.get $count)))
        (local.set $at (i32.load $guest (local.get $pieces)))
        (local.set $end (i32.add (local.get $at) (i32.load $guest offset=4 (local.get $pieces))))
        (local.set $total
          (i32.add (local.get $total) (i32.sub (local.get $end) (local.get $at))))
        (block $done
          (loop $byte
            (br_if $done (i32.eq (local.get $at) (local.get $end)))
            (call $print (local.get $fd) (i32.load8_u $guest (local.get $at)))
            (local.set $at (i32.add (local.get $at) (i32.const 1)))
            (br $byte)))
        (local.set $pieces (i32.add (local.get $pieces) (i32.const 8)))
        (local.set $count (i32.sub (local.get $count) (i32.const 1)))
        (br $piece)))
    (i32.store $guest (local.get $written) (local.get $total))
    (i32.const 0))

  ;; Whoever exits does not answer: a trap, as for any plugin that breaks off.
  (func (export "proc_exit") (param i32)
    (call $flush (i32.const 1))
    (call $flush (i32.const 2))
    (unreachable))

  ;; Go's bindings say so when they allocate for the host, during which no host function may be called: the garbage collector may run
  ;; then, and reads the clock.
  (func (export "adapter_monotonic_clock_set_paused") (param $paused i32)
    (global.set $allocating (local.get $paused)))

  ;; All clocks show the time of the call, or that of the last reading while the host may not be asked.
  (func (export "clock_time_get") (param $id i32) (param $precision i64) (param $at i32) (result i32)
    (if (i32.eqz (global.get $allocating))
      (then
        (global.set $now
          (i64.mul (i64.trunc_sat_f64_u (call $now_ms)) (i64.const 1000000)))))
    (i64.store $guest (local.get $at) (global.get $now))
    (i32.const 0))
  (func (export "clock_res_get") (param $id i32) (param $at i32) (result i32)
    (i64.store $guest (local.get $at) (i64.const 1000000))
    (i32.const 0))

  ;; The same bytes in every instance (splitmix64, the upper byte of each number).
  (func (export "random_get") (param $at i32) (param $len i32) (result i32)
    (local $end i32) (local $z i64)
    (local.set $end (i32.add (local.get $at) (local.get $len)))
    (block $all
      (loop $next
        (br_if $all (i32.eq (local.get $at) (local.get $end)))
        (global.set $random (i64.add (global.get $random) (i64.const 0x9e3779b97f4a7c15)))
        (local.set $z (global.get $random))
        (local.set $z
          (i64.mul
            (i64.xor (local.get $z) (i64.shr_u (local.get $z) (i64.const 30)))
            (i64.const 0xbf58476d1ce4e5b9)))
        (local.set $z
          (i64.mul
            (i64.xor (local.get $z) (i64.shr_u (local.get $z) (i64.const 27)))
            (i64.const 0x94d049bb133111eb)))
        (i64.store8 $guest (local.get $at) (i64.shr_u (local.get $z) (i64.const 56)))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br $next)))
    (i32.const 0))

  ;; Neither arguments nor variables.
  (func $none (param $count i32) (param $bytes i32) (result i32)
    (i32.store $guest (local.get $count) (i32.const 0))
    (i32.store $guest (local.get $bytes) (i32.const 0))
    (i32.const 0))
  (export "args_sizes_get" (func $none))
  (export "environ_sizes_get" (func $none))
  (func $nothing (param i32 i32) (result i32) (i32.const 0))
  (export "args_get" (func $nothing))
  (export "environ_get" (func $nothing))

  (func (export "sched_yield") (result i32) (i32.const 0))

  ;; The three standard streams are terminals, so that C prints line by line; nothing else is open.
  (func (export "fd_fdstat_get") (param $fd i32) (param $at i32) (result i32)
    (if (i32.gt_u (local.get $fd) (i32.const 2)) (then (return (i32.const 8))))
    (memory.fill $guest (local.get $at) (i32.const 0) (i32.const 24))
    (i32.store8 $guest (local.get $at) (i32.const 2)) ;; a character device
    (i64.store $guest offset=8 (local.get $at) (i64.const 0x40)) ;; that can be written to
    (i32.const 0))

  ;; A wait for the clock ends at once, though its time has not come and never will in this call: Go waits so while it prints why it
  ;; panics. Nothing else can be waited for (`nosys`). Of a subscription (48 bytes) the tag at 8 says what it is for, 0 being the
  ;; clock; an event (32 bytes) begins with its user data and is otherwise zero.
  (func (export "poll_oneoff")
    (param $at i32) (param $events i32) (param $count i32) (param $happened i32) (result i32)
    (loop $next
      (if (i32.eqz (local.get $count)) (then (return (i32.const 52))))
      (if (i32.eqz (i32.load8_u $guest offset=8 (local.get $at)))
        (then
          (memory.fill $guest (local.get $events) (i32.const 0) (i32.const 32))
          (i64.store $guest (local.get $events) (i64.load $guest (local.get $at)))
          (i32.store $guest (local.get $happened) (i32.const 1))
          (return (i32.const 0))))
      (local.set $at (i32.add (local.get $at) (i32.const 48)))
      (local.set $count (i32.sub (local.get $count) (i32.const 1)))
      (br $next))
    (unreachable))
  (func (export "proc_raise") (param i32) (result i32) (i32.const 52))

  ;; No other file or socket is open: `badf`, by which Go also learns that no folder was opened for it.
  (func (export "fd_advise") (param i32 i64 i64 i32) (result i32) (i32.const 8))
  (func (export "fd_allocate") (param i32 i64 i64) (result i32) (i32.const 8))
  (func (export "fd_close") (param i32) (result i32) (i32.const 8))
  (func (export "fd_datasync") (param i32) (result i32) (i32.const 8))
  (func (export "fd_fdstat_set_flags") (param i32 i32) (result i32) (i32.const 8))
  (func (export "fd_fdstat_set_rights") (param i32 i64 i64) (result i32) (i32.const 8))
  (func (export "fd_filestat_get") (param i32 i32) (result i32) (i32.const 8))
  (func (export "fd_filestat_set_size") (param i32 i64) (result i32) (i32.const 8))
  (func (export "fd_filestat_set_times") (param i32 i64 i64 i32) (result i32) (i32.const 8))
  (func (export "fd_pread") (param i32 i32 i32 i64 i32) (result i32) (i32.const 8))
  (func (export "fd_prestat_get") (param i32 i32) (result i32) (i32.const 8))
  (func (export "fd_prestat_dir_name") (param i32 i32 i32) (result i32) (i32.const 8))
  (func (export "fd_pwrite") (param i32 i32 i32 i64 i32) (result i32) (i32.const 8))
  (func (export "fd_read") (param i32 i32 i32 i32) (result i32) (i32.const 8))
  (func (export "fd_readdir") (param i32 i32 i32 i64 i32) (result i32) (i32.const 8))
  (func (export "fd_renumber") (param i32 i32) (result i32) (i32.const 8))
  (func (export "fd_seek") (param i32 i64 i32 i32) (result i32) (i32.const 8))
  (func (export "fd_sync") (param i32) (result i32) (i32.const 8))
  (func (export "fd_tell") (param i32 i32) (result i32) (i32.const 8))
  (func (export "path_create_directory") (param i32 i32 i32) (result i32) (i32.const 8))
  (func (export "path_filestat_get") (param i32 i32 i32 i32 i32) (result i32) (i32.const 8))
  (func (export "path_filestat_set_times") (param i32 i32 i32 i32 i64 i64 i32) (result i32) (i32.const 8))
  (func (export "path_link") (param i32 i32 i32 i32 i32 i32 i32) (result i32) (i32.const 8))
  (func (export "path_open") (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32) (i32.const 8))
  (func (export "path_readlink") (param i32 i32 i32 i32 i32 i32) (result i32) (i32.const 8))
  (func (export "path_remove_directory") (param i32 i32 i32) (result i32) (i32.const 8))
  (func (export "path_rename") (param i32 i32 i32 i32 i32 i32) (result i32) (i32.const 8))
  (func (export "path_symlink") (param i32 i32 i32 i32 i32) (result i32) (i32.const 8))
  (func (export "path_unlink_file") (param i32 i32 i32) (result i32) (i32.const 8))
  (func (export "sock_accept") (param i32 i32 i32) (result i32) (i32.const 8))
  (func (export "sock_recv") (param i32 i32 i32 i32 i32 i32) (result i32) (i32.const 8))
  (func (export "sock_send") (param i32 i32 i32 i32 i32) (result i32) (i32.const 8))
  (func (export "sock_shutdown") (param i32 i32) (result i32) (i32.const 8))
)
