<?php
for ($i = 0; $i < 500; $i++) {
    header("X-$i: " . str_repeat('y', 100));
}
echo 'body';
