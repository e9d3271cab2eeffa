<?php
header('X-Method: ' . $_SERVER['REQUEST_METHOD']);
header('Content-Type: text/plain');
echo str_repeat('x', 10000);
