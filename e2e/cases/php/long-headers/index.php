<?php
header('X-Long: ' . str_repeat('a', 3000));
echo 'ok';
