<?php
header('X-Unicode: grün');
header('Content-Disposition: attachment; filename="grün.txt"');
echo 'ok';
