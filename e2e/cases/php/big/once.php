<?php
header('Content-Length: 5000000');
echo str_repeat('0123456789', 500000);
