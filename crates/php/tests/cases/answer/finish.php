<?php
echo 'before';
$first = fastcgi_finish_request();
echo 'after';
flush();
$second = fastcgi_finish_request();
error_log(json_encode([$first, $second, connection_status()]));
register_shutdown_function(fn () => error_log('shutdown ran'));
