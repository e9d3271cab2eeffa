<?php
// load: maxminddb
function work() {
    $name = tempnam(sys_get_temp_dir(), 'mmdb');
    file_put_contents($name, str_repeat("\0", 500));
    foreach ([$name, '/none'] as $file) {
        try { new MaxMind\Db\Reader($file); } catch (Exception $e) { $said[] = get_class($e); }
    }
    unlink($name);
    return $said;
}
function left() { return ['class' => !class_exists('MaxMind\Db\Reader', false)]; }
