<?php
for ($i = 0; $i < 1000; $i++) {
    echo str_repeat(chr(65 + $i % 26), 3001);
}
