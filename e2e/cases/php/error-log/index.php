<?php
var_dump(error_log('from error_log, with a tab	and ü'));
trigger_error('from trigger_error', E_USER_WARNING);
file_put_contents('php://stderr', "from php://stderr\n");
echo ini_get('error_log') === '' ? 'to the server' : 'elsewhere';
