<?php
// load: apcu
// set: apc.enabled = 1
// shares: shared memory
function work() {
    apcu_store('seen', ['a' => 1], 100);
    apcu_add('n', 1);
    apcu_delete('n');
    return [apcu_fetch('seen'), apcu_inc('n'), apcu_entry('made', fn () => 5), apcu_delete(new APCUIterator('/^n$/')), apcu_enabled(), apcu_cas('made', 5, 5)];
}
function left() { return ['shared memory' => apcu_exists('seen')]; }
