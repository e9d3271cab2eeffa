<?php
// Settings that name files, which PHP then writes by itself.
require __DIR__ . '/../prelude.php';
// Sessions must be opened before anything is sent.
ob_start();
foreach ([...$victim->files, ...$server->files] as $path) {
    attempt("error_log $path", fn() => ini_set('error_log', $path) !== false && error_log('x') ? 'written' : false);
    attempt("error_log 3 $path", fn() => error_log('x', 3, $path));
}
foreach ($victim->directories as $directory) {
    attempt("sessions in $directory", function () use ($directory, $victim) {
        session_save_path($directory);
        session_id("hostel-prove-$victim->run");
        $is_open = session_start(['use_cookies' => 0]);
        $_SESSION['x'] = 1;
        return session_write_close() && $is_open ? 'written' : false;
    });
}
