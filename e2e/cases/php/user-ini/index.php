<?php
foreach (['memory_limit', 'upload_max_filesize', 'disable_functions', 'post_max_size', 'auto_prepend_file'] as $name) {
    echo $name, '=', ini_get($name), "\n";
}
