<?php
error_log('one line');
error_log(str_repeat('x', 20000));
for ($i = 0; $i < 1000; $i++) {
    error_log(str_repeat('y', 1000));
}
echo 'ok';
