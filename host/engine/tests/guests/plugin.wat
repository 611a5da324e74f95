  (component $Plugin
    @MEMORY@
    (core module $Main
      (import "memory" "memory" (memory 1))
      (import "memory" "heap" (global $heap (mut i32)))
      (data (i32.const 16) "@MANIFEST@")
      (data (i32.const 1024) "@TEXTS@")
      ;; Settings are refused with one problem, or taken: result<_, list<problem>>.
      (data (i32.const 64) "@CONFIGURED@")
      (data (i32.const 96) "@PROBLEM@")
      (func (export "describe") (result i32) (i32.const 16))
      (func (export "configure") (param i32 i32) (result i32)
        (global.set $heap (i32.const 8192))
        (i32.const 64)))
    (core instance $main (instantiate $Main (with "memory" (instance $memory))))
    (alias core export $memory "memory" (core memory $mem))
    (alias core export $memory "realloc" (core func $realloc))

    (type $manifest' (record (field "name" string) (field "version" string) (field "summary" string)
      (field "settings-schema" string)))
    (export $manifest "manifest" (type $manifest'))
    (type $problem' (record (field "setting" string) (field "message" string)))
    (export $problem "problem" (type $problem'))
    (func (export "describe") (result $manifest) (canon lift (core func $main "describe") (memory $mem)))
    (func (export "configure") (param "settings" string) (result (result (error (list $problem))))
      (canon lift (core func $main "configure") (memory $mem) (realloc $realloc))))
  (instance $plugin (instantiate $Plugin))
  (export "portcullis:gateway/plugin@0.1.0" (instance $plugin))
