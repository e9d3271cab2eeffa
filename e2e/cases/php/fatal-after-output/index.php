<?php
echo 'before ';
while (ob_get_level()) {
    ob_end_flush();
}
flush();
no_such_function_after_output();
