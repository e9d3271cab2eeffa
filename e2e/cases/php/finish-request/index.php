<?php
header('X-Before: yes');
echo 'seen';
$result = fastcgi_finish_request();
echo 'not seen';
@header('X-After: no');
file_put_contents('/tmp/finished-' . $_GET['n'], var_export($result, true) . ' ' . connection_status());
