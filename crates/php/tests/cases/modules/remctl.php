<?php
// load: remctl
// without a server
function work() {
    $r = remctl_new();
    return [@remctl_open($r, '127.0.0.1', 1, 'a'), remctl_error($r) !== '', remctl_close($r)];
}
function left() { return ['error' => remctl_error(remctl_new()) !== 'no error']; }
