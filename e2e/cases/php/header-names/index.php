<?php
foreach ($_SERVER as $name => $value) {
    if (str_starts_with($name, 'HTTP_') && $name !== 'HTTP_HOST') {
        echo "$name=$value\n";
    }
}
