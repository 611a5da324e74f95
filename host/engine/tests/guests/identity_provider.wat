;; A connector to a cloud identity provider whose `poll` is filled in by the test. It imports nothing.
(component
  @PLUGIN@

  (component $Connector
    @MEMORY@
    (alias core export $memory "memory" (core memory $mem))
    (core module $Main
      (import "memory" "memory" (memory 1))
      ;; ok(health { detail: "fine", warnings: [] })
      (data (i32.const 16) "\00\00\00\00\80\00\00\00\04\00\00\00\00\00\00\00\00\00\00\00")
      (data (i32.const 128) "fine")
      (func (export "check") (result i32) (i32.const 16)))
    (core instance $main (instantiate $Main (with "memory" (instance $memory))))
    (type $error' (variant (case "unauthorized" string) (case "forbidden" string) (case "rate-limited" u32)
      (case "unavailable" string) (case "protocol" string) (case "misconfigured" string)))
    (export $error "connector-error" (type $error'))
    (type $health' (record (field "detail" string) (field "warnings" (list string))))
    (export $health "health" (type $health'))
    (func (export "check") (result (result $health (error $error)))
      (canon lift (core func $main "check") (memory $mem))))
  (instance $connector (instantiate $Connector))
  (export "portcullis:gateway/connector@0.1.0" (instance $connector))

  (component $EventSource
    @MEMORY@
    (alias core export $memory "memory" (core memory $mem))
    (alias core export $memory "realloc" (core func $realloc))
    (core module $Main
      (import "memory" "memory" (memory 1))
      ;; ok(batch { events: [], cursor: "cursor", 1000 ms, some(7) }). The batch begins at 264: events at 264, cursor at 272,
      ;; poll-after-ms at 280, complete-to at 288 and 296.
      (data (i32.const 272) "\80\00\00\00\06\00\00\00\e8\03\00\00\00\00\00\00\01\00\00\00\00\00\00\00\07\00\00\00\00\00\00\00")
      (data (i32.const 128) "cursor")
      ;; Hands over so many events of 160 zero bytes each, which have no id.
      (func $events (param $count i32)
        (drop (memory.grow (i32.add (i32.div_u (i32.mul (local.get $count) (i32.const 160)) (i32.const 65536)) (i32.const 1))))
        (i32.store (i32.const 264) (i32.const 65536))
        (i32.store (i32.const 268) (local.get $count)))
      (func (export "poll") (param i32 i32 i32) (result i32)
        @POLL@
        (i32.const 256)))
    (core instance $main (instantiate $Main (with "memory" (instance $memory))))

    (type $error' (variant (case "unauthorized" string) (case "forbidden" string) (case "rate-limited" u32)
      (case "unavailable" string) (case "protocol" string) (case "misconfigured" string)))
    (export $error "connector-error" (type $error'))
    (type $method' (variant (case "anonymous") (case "simple") (case "sasl" string) (case "opaque-sasl" string)))
    (export $method "bind-method" (type $method'))
    (type $scope' (enum "base" "one-level" "subtree"))
    (export $scope "search-scope" (type $scope'))
    (type $search' (record (field "base" string) (field "scope" $scope) (field "filter" string)
      (field "attributes" (list string))))
    (export $search "search" (type $search'))
    (type $operation' (variant (case "bind" $method) (case "search" $search) (case "compare") (case "add")
      (case "modify" (list string)) (case "delete") (case "rename") (case "password-change") (case "extended" string)
      (case "sign-in") (case "app-access") (case "other" string)))
    (export $operation "operation" (type $operation'))
    (type $outcome' (enum "pending" "success" "failure"))
    (export $outcome "outcome" (type $outcome'))
    (type $attribute' (record (field "name" string) (field "values" (list string))))
    (export $attribute "attribute" (type $attribute'))
    (type $position' (record (field "latitude" f64) (field "longitude" f64)))
    (export $position "position" (type $position'))
    (type $event' (record (field "id" string) (field "at" u64) (field "identities" (list string))
      (field "address" (option string)) (field "user-agent" (option string)) (field "position" (option $position))
      (field "place" (option string)) (field "application" (option string)) (field "operation" $operation)
      (field "outcome" $outcome) (field "detail" string) (field "attributes" (list $attribute)) (field "raw" string)))
    (export $event "foreign-event" (type $event'))
    (type $batch' (record (field "events" (list $event)) (field "cursor" string) (field "poll-after-ms" u32)
      (field "complete-to" (option u64))))
    (export $batch "batch" (type $batch'))
    (func (export "poll") (param "cursor" (option string)) (result (result $batch (error $error)))
      (canon lift (core func $main "poll") (memory $mem) (realloc $realloc))))
  (instance $source (instantiate $EventSource))
  (export "portcullis:gateway/event-source@0.1.0" (instance $source))

  (component $AccountDirectory
    @MEMORY@
    (alias core export $memory "memory" (core memory $mem))
    (alias core export $memory "realloc" (core func $realloc))
    (core module $Main
      (import "memory" "memory" (memory 1))
      ;; ok(none): nothing but zeros.
      (func (export "find") (param i32 i32) (result i32) (i32.const 16)))
    (core instance $main (instantiate $Main (with "memory" (instance $memory))))
    (type $error' (variant (case "unauthorized" string) (case "forbidden" string) (case "rate-limited" u32)
      (case "unavailable" string) (case "protocol" string) (case "misconfigured" string)))
    (export $error "connector-error" (type $error'))
    (type $attribute' (record (field "name" string) (field "values" (list string))))
    (export $attribute "attribute" (type $attribute'))
    (type $factor' (record (field "kind" string) (field "active" bool)))
    (export $factor "factor" (type $factor'))
    (type $account' (record (field "id" string) (field "login" string) (field "mail" (option string))
      (field "status" string) (field "enabled" bool) (field "applications" (list string)) (field "factors" (list $factor))
      (field "attributes" (list $attribute))))
    (export $account "cloud-account" (type $account'))
    (func (export "find") (param "identities" (list string)) (result (result (option $account) (error $error)))
      (canon lift (core func $main "find") (memory $mem) (realloc $realloc))))
  (instance $directory (instantiate $AccountDirectory))
  (export "portcullis:gateway/account-directory@0.1.0" (instance $directory))

  (component $Enforcement
    @MEMORY@
    (alias core export $memory "memory" (core memory $mem))
    (alias core export $memory "realloc" (core func $realloc))
    (core module $Main
      (import "memory" "memory" (memory 1))
      ;; Suspending is refused with rate-limited(9); the rest is ok.
      (data (i32.const 32) "\01\00\00\00\02\00\00\00\09\00\00\00")
      (func (export "enforce") (param i32 i32 i32) (result i32)
        (select (i32.const 32) (i32.const 64) (i32.eq (local.get 2) (i32.const 1)))))
    (core instance $main (instantiate $Main (with "memory" (instance $memory))))
    (type $error' (variant (case "unauthorized" string) (case "forbidden" string) (case "rate-limited" u32)
      (case "unavailable" string) (case "protocol" string) (case "misconfigured" string)))
    (export $error "connector-error" (type $error'))
    (type $action' (enum "end-sessions" "suspend" "unsuspend"))
    (export $action "action" (type $action'))
    (func (export "enforce") (param "account" string) (param "action" $action) (result (result (error $error)))
      (canon lift (core func $main "enforce") (memory $mem) (realloc $realloc))))
  (instance $enforcement (instantiate $Enforcement))
  (export "portcullis:gateway/enforcement@0.1.0" (instance $enforcement)))
