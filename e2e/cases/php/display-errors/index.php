<?php
ini_set('display_errors', '1');
ini_set('html_errors', '0');
echo $undefined;
trigger_error('a warning', E_USER_WARNING);
no_such_function_shown();
