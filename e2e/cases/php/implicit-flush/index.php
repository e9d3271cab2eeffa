<?php
while (ob_get_level()) {
    ob_end_clean();
}
ob_implicit_flush();
foreach (['a', 'b', 'c'] as $part) {
    echo $part;
}
