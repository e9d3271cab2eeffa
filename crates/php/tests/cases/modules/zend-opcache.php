<?php
function work() {
    $name = tempnam(sys_get_temp_dir(), 'opcache') . '.php';
    file_put_contents($name, '<?php return 5;');
    $status = opcache_get_status(false);
    return [opcache_compile_file($name), require $name, opcache_invalidate($name, true), unlink($name), unlink(substr($name, 0, -4)), $status['opcache_enabled']];
}
function left() { return ['switch' => !ini_get('opcache.enable')]; }
