    ;; Memory first, because lowering an import needs one that is already there. A bump allocator: `heap` is set back by
    ;; whoever has finished with everything.
    (core module $Memory
      (memory (export "memory") 1)
      (global $heap (export "heap") (mut i32) (i32.const 8192))
      (func (export "realloc") (param $old i32) (param $old_size i32) (param $align i32) (param $size i32) (result i32)
        (local $at i32)
        (local.set $at (i32.and (i32.add (global.get $heap) (i32.const 7)) (i32.const -8)))
        (global.set $heap (i32.add (local.get $at) (local.get $size)))
        (block $fits
          (br_if $fits (i32.le_u (global.get $heap) (i32.mul (memory.size) (i32.const 65536))))
          (drop (memory.grow (i32.add (i32.div_u (local.get $size) (i32.const 65536)) (i32.const 1)))))
        (local.get $at)))
    (core instance $memory (instantiate $Memory))
