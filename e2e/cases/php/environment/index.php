<?php
var_dump(getenv('PATH') === false, getenv('HOME') !== false, getenv('USER') !== false);
var_dump(getenv('REQUEST_METHOD'), getenv('SCRIPT_NAME'), getenv('HTTP_HOST'), getenv('NO_SUCH'));
var_dump($_ENV);
putenv('LEFT_BEHIND=yes');
var_dump(getenv('LEFT_BEHIND'));
