<?php
ob_end_clean();
ignore_user_abort(isset($_GET['ignore']));
register_shutdown_function(function () { error_log('shutdown ' . connection_status() . ' ' . connection_aborted()); });
for ($i = 0; $i < 100; $i++) {
    echo str_repeat('x', 1000);
    flush();
    usleep(20000);
    if (connection_aborted()) {
        error_log("seen at $i");
        break;
    }
}
error_log('reached the end');
