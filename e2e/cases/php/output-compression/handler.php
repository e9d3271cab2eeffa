<?php
ob_start('ob_gzhandler');
echo str_repeat('compress me ', 500);
