<?php
// load: wmerrors
// set: wmerrors.enabled = 1
function work() {
    register_shutdown_function(fn () => null);
    return [ini_get('wmerrors.enabled'), @file_get_contents('/none')];
}
function left() { return ['error' => error_get_last() !== null]; }
