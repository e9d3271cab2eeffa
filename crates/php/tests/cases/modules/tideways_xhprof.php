<?php
// load: tideways_xhprof
function work() {
    tideways_xhprof_enable(TIDEWAYS_XHPROF_FLAGS_MEMORY | TIDEWAYS_XHPROF_FLAGS_CPU);
    measured(3);
    $seen = tideways_xhprof_disable();
    tideways_xhprof_enable();
    return [$seen['measured==>measured@1']['ct'] ?? array_keys($seen), isset($seen['main()']['cpu'])];
}
function measured($n) { return $n ? measured($n - 1) : 0; }
function left() { return ['profile' => (bool) tideways_xhprof_disable()]; }
