<?php
foreach ($_FILES as $field => $file) {
    foreach ((array) $file['name'] as $i => $name) {
        $at = fn($key) => is_array($file[$key]) ? $file[$key][$i] : $file[$key];
        echo "$field: $name ", $at('full_path') ?? '', ' ', $at('type'), ' ', $at('size'), ' error ', $at('error');
        if ($at('error') === 0) {
            $from = $at('tmp_name');
            echo ' ', dirname($from), ' ', is_uploaded_file($from) ? 'uploaded' : 'not', ' ', md5_file($from);
            echo ' ', decoct(fileperms($from) & 0777), ' ', posix_getpwuid(fileowner($from))['name'];
            $to = sys_get_temp_dir() . '/moved-' . getmypid();
            echo ' ', move_uploaded_file($from, $to) ? 'moved' : 'not', ' ', filesize($to), ' ', is_uploaded_file($to) ? 'still' : 'no more';
            unlink($to);
        }
        echo "\n";
    }
}
var_export($_POST);
